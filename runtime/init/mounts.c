// SPDX-License-Identifier: Apache-2.0
// Mounts below the container's root: each is made detached, with all its attributes, and attached by descriptor.
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "init.h"
#include "mountapi.h"

// Flags of mount_filesystem and bind_mount, as pyrun/plan/mounts.py gives them.
enum { INSIDE_PROCFS = 1, NO_SYMLINKS = 2 };
enum { MAX_PARAMETER = 255 };
static const uint64_t RECURSIVE_PROPAGATION = 1ULL << 63;
static const uint64_t NO_SLOT = UINT64_MAX;

// CVE-2019-16884: what is mounted over a file of procfs would answer in the kernel's place.
static int refuse_procfs(struct stage *stage, int target, const char *path) {
    struct statfs status;
    if (fstatfs(target, &status)) return fail(stage, errno, "look at the mount point %s", path);
    if (status.f_type != PROC_SUPER_MAGIC) return 0;
    return fail(stage, EPERM, "mount on %s: the destination is inside procfs", path);
}

static int set_propagation(int tree, struct list changes) {
    while (changes.count) {
        uint64_t change = list_next_number(&changes);
        unsigned flags = change & RECURSIVE_PROPAGATION ? AT_RECURSIVE : 0;
        if (tree_set(tree, flags, 0, 0, change & ~RECURSIVE_PROPAGATION)) return -1;
    }
    return 0;
}

static int attach(struct stage *stage, int tree, int target, const char *path, struct list propagation,
                  uint64_t flags) {
    if (!(flags & INSIDE_PROCFS) && refuse_procfs(stage, target, path)) return -1;
    if (tree_attach(tree, target)) return fail(stage, errno, "mount on %s", path);
    return set_propagation(tree, propagation) ? fail(stage, errno, "set the propagation of %s", path) : 0;
}

// The kernel's own words for what it did not like, such as "e tmpfs: Bad value for 'size'".
static int fail_by_context(struct stage *stage, int context, int error, const char *type, const char *path) {
    char words[256];
    ssize_t length = read(context, words, sizeof words - 1);
    words[length > 0 ? length : 0] = 0;
    words[strcspn(words, "\n")] = 0;
    const char *text = length > 2 ? words + 2 : words;
    return fail(stage, error, "mount %s on %s%s%s", type, path, *text ? ": " : "", text);
}

static int set_parameter(int context, const char *parameter) {
    char key[MAX_PARAMETER + 1];
    const char *value = strchr(parameter, '=');
    if (!value) return fs_config(context, FSCONFIG_SET_FLAG, parameter, NULL);
    size_t length = (size_t)(value - parameter);
    if (length > MAX_PARAMETER) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(key, parameter, length);
    key[length] = 0;
    return fs_config(context, FSCONFIG_SET_STRING, key, value + 1);
}

static int configure(int context, const char *source, mode_t covered_mode, struct list parameters) {
    char mode[16];
    if (*source && fs_config(context, FSCONFIG_SET_STRING, "source", source)) return -1;
    if (covered_mode) {
        snprintf(mode, sizeof mode, "%o", covered_mode);
        if (fs_config(context, FSCONFIG_SET_STRING, "mode", mode)) return -1;
    }
    while (parameters.count)
        if (set_parameter(context, list_next_string(&parameters))) return -1;
    return fs_config(context, FSCONFIG_CMD_CREATE, NULL, NULL);
}

static int new_filesystem(struct stage *stage, const union argument *arguments, mode_t covered_mode) {
    const char *path = arguments[0].string, *type = arguments[1].string, *source = arguments[2].string;
    int context = fs_open(type);
    if (context < 0) return fail(stage, errno, "mount %s on %s", type, path);
    int tree = -1;
    if (configure(context, source, covered_mode, arguments[3].strings) ||
        (tree = fs_mount(context, arguments[4].number)) < 0)
        fail_by_context(stage, context, errno, type, path);
    close(context);
    return tree;
}

int mount_filesystem(struct stage *stage, const union argument *arguments) {
    const char *path = arguments[0].string;
    uint64_t flags = arguments[6].number;
    uint64_t resolve = flags & NO_SYMLINKS ? RESOLVE_NO_SYMLINKS : 0;
    mode_t covered_mode = 0;
    struct stat status;
    int target = open_beneath(stage, path, O_PATH | O_DIRECTORY, resolve);
    if (target < 0 && (errno == ELOOP || errno == ENOTDIR) && resolve)
        return fail(stage, errno, "mount %s on %s: it must be an ordinary directory", arguments[1].string, path);
    // A tmpfs looks like the directory that it covers, as engines expect of runc.
    if (target >= 0 && !strcmp(arguments[1].string, "tmpfs") && !fstat(target, &status))
        covered_mode = status.st_mode & 07777;
    if (target < 0) target = make_directory_beneath(stage, path, 0755);
    if (target < 0) return fail(stage, errno, "make the mount point %s", path);
    int tree = new_filesystem(stage, arguments, covered_mode);
    int result = tree < 0 ? -1 : attach(stage, tree, target, path, arguments[5].numbers, flags);
    close_descriptor(&tree);
    close(target);
    return result;
}

static int open_source(struct stage *stage, const char *path, uint64_t recursive) {
    int tree = tree_open(AT_FDCWD, path, OPEN_TREE_CLONE | (recursive ? AT_RECURSIVE : 0));
    return tree < 0 ? fail(stage, errno, "bind source %s", path) : tree;
}

// In the outer stage: a source that a user namespace's root may not be able to reach. Below a slave nothing that the
// container mounts can reach the host, as for the sources that the init opens.
int open_bind_source(struct stage *stage, const union argument *arguments) {
    uint64_t slot = arguments[0].number, recursive = arguments[2].number;
    const char *path = arguments[1].string;
    if (slot >= MAX_BIND_SOURCES) return fail(stage, E2BIG, "more than %d bind mounts", MAX_BIND_SOURCES);
    int tree = open_source(stage, path, recursive);
    if (tree < 0) return -1;
    stage->bind_sources[slot] = tree;
    return tree_set(tree, AT_RECURSIVE, 0, 0, MS_SLAVE) ? fail(stage, errno, "make %s a slave", path) : 0;
}

static bool is_directory(int descriptor) {
    struct stat status;
    return !fstat(descriptor, &status) && S_ISDIR(status.st_mode);
}

static int open_mount_point(struct stage *stage, int tree, const char *path) {
    bool directory = is_directory(tree);
    int target = directory ? make_directory_beneath(stage, path, 0755) : make_file_beneath(stage, path);
    if (target < 0) return fail(stage, errno, "make the mount point %s", path);
    if (directory || !is_directory(target)) return target;
    close(target);
    return fail(stage, ENOTDIR, "mount a file on the directory %s", path);
}

int bind_mount(struct stage *stage, const union argument *arguments) {
    uint64_t slot = arguments[0].number;
    const char *path = arguments[2].string;
    bool opened = slot != NO_SLOT && slot < MAX_BIND_SOURCES;
    int tree = opened ? stage->bind_sources[slot] : open_source(stage, arguments[1].string, arguments[3].number);
    if (tree < 0) return -1;
    if (opened) stage->bind_sources[slot] = -1;
    uint64_t set = arguments[4].number, clear = arguments[5].number;
    if ((set || clear) && tree_set(tree, 0, set, clear, 0)) return fail(stage, errno, "set the attributes of %s", path);
    int target = open_mount_point(stage, tree, path);
    if (target < 0) return -1;
    int result = attach(stage, tree, target, path, arguments[6].numbers, arguments[7].number);
    close(tree);
    close(target);
    return result;
}

// Covers what the descriptor stands on; a path that the image does not have needs no cover.
static int cover(struct stage *stage, const char *path, int target, int tree) {
    int result = tree < 0 || tree_attach(tree, target) ? fail(stage, errno, "cover %s", path) : 0;
    close(target);
    return result;
}

int readonly_path(struct stage *stage, const union argument *arguments) {
    const char *path = arguments[0].string;
    int target = open_beneath(stage, path, O_PATH, 0);
    if (target < 0) return errno == ENOENT || errno == ENOTDIR ? 0 : fail(stage, errno, "open %s", path);
    int tree = tree_open(target, "", OPEN_TREE_CLONE | AT_RECURSIVE);
    if (tree >= 0 && tree_set(tree, AT_RECURSIVE, MOUNT_ATTR_RDONLY, 0, 0)) {
        close(target);
        return fail(stage, errno, "make %s read-only", path);
    }
    int result = cover(stage, path, target, tree);
    close_descriptor(&tree);
    return result;
}

// One empty file system serves all directories: the first mask attaches it, the others are clones of that mount
// (before Linux 6.15 a detached one can't be cloned).
static int empty_directory(struct stage *stage) {
    if (stage->empty >= 0) return tree_open(stage->empty, "", OPEN_TREE_CLONE);
    int context = fs_open("tmpfs");
    if (context >= 0 && !fs_config(context, FSCONFIG_SET_STRING, "source", "tmpfs") &&
        !fs_config(context, FSCONFIG_SET_FLAG, "ro", NULL) && !fs_config(context, FSCONFIG_CMD_CREATE, NULL, NULL))
        stage->empty = fs_mount(context, MOUNT_ATTR_RDONLY);
    int error = errno;
    if (context >= 0) close(context);
    errno = error;
    return stage->empty;
}

// CVE-2025-31133: only what is the null device may stand in for it.
static int null_device(struct stage *stage) {
    int null = open_beneath(stage, "/dev/null", O_PATH | O_NOFOLLOW, 0);
    if (null >= 0 && !is_null_device(null)) {
        close(null);
        errno = ENODEV;
        return -1;
    }
    int tree = null < 0 ? -1 : tree_open(null, "", OPEN_TREE_CLONE);
    int error = errno;
    if (null >= 0) close(null);
    errno = error;
    return tree;
}

// A tmpfs that holds devices or mount points can be made read-only only once they are there.
int readonly_mount(struct stage *stage, const union argument *arguments) {
    const char *path = arguments[0].string;
    int mounted = open_beneath(stage, path, O_PATH, 0);
    if (mounted < 0 || tree_set(mounted, 0, MOUNT_ATTR_RDONLY, 0, 0))
        return fail(stage, errno, "make %s read-only", path);
    close(mounted);
    return 0;
}

int mask_path(struct stage *stage, const union argument *arguments) {
    const char *path = arguments[0].string;
    struct stat status;
    int target = open_beneath(stage, path, O_PATH, 0);
    if (target < 0) return errno == ENOENT || errno == ENOTDIR ? 0 : fail(stage, errno, "open %s", path);
    if (fstat(target, &status)) return fail(stage, errno, "stat %s", path);
    int tree = S_ISDIR(status.st_mode) ? empty_directory(stage) : null_device(stage);
    int result = cover(stage, path, target, tree);
    if (tree != stage->empty) close_descriptor(&tree);
    return result;
}
