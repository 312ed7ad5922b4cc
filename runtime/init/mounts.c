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

#ifndef MS_NOSYMFOLLOW
#define MS_NOSYMFOLLOW 256
#endif

// Flags of mount_filesystem and bind_mount, as pyrun/plan/mounts.py gives them.
enum { INSIDE_PROCFS = 1, NO_SYMLINKS = 2, COVERED_LATER = 4, READONLY_BELOW = 8 };
enum { MAX_PARAMETER = 255, MAX_DATA = 4095 };
static const uint64_t RECURSIVE_PROPAGATION = 1ULL << 63;

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
    if (set_propagation(tree, propagation)) return fail(stage, errno, "set the propagation of %s", path);
    return flags & COVERED_LATER ? remember_mount(stage, path, tree) : 0;
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

static bool fits_fsconfig(struct list parameters) {
    while (parameters.count) {
        const char *value = strchr(list_next_string(&parameters), '=');
        if (value && strlen(value + 1) > MAX_PARAMETER) return false;
    }
    return true;
}

static int new_filesystem(struct stage *stage, const union argument *arguments, mode_t covered_mode) {
    const char *path = arguments[0].string, *type = arguments[1].string, *source = arguments[2].string;
    int context = fs_open(type);
    if (context < 0) return fail(stage, errno, "mount %s on %s", type, path);
    int tree = -1;
    bool elsewhere = stage->pid_namespace >= 0 && !strcmp(type, "proc");
    if ((elsewhere && fs_config_descriptor(context, "pidns", stage->pid_namespace)) ||
        configure(context, source, covered_mode, arguments[3].strings) ||
        (tree = fs_mount(context, arguments[4].number)) < 0)
        fail_by_context(stage, context, errno, type, path);
    close(context);
    return tree;
}

static int mount_by_context(struct stage *stage, const union argument *arguments, int target, mode_t covered_mode) {
    const char *path = arguments[0].string;
    uint64_t flags = arguments[6].number;
    int tree = new_filesystem(stage, arguments, covered_mode);
    int result = tree < 0 ? -1 : attach(stage, tree, target, path, arguments[5].numbers, flags);
    close_descriptor(&tree);
    return result;
}

static unsigned long mount_flags(uint64_t attributes) {
    static const struct { uint64_t attribute; unsigned long flag; } flags[] = {
        {MOUNT_ATTR_RDONLY, MS_RDONLY},         {MOUNT_ATTR_NOSUID, MS_NOSUID},
        {MOUNT_ATTR_NODEV, MS_NODEV},           {MOUNT_ATTR_NOEXEC, MS_NOEXEC},
        {MOUNT_ATTR_NOATIME, MS_NOATIME},       {MOUNT_ATTR_STRICTATIME, MS_STRICTATIME},
        {MOUNT_ATTR_NODIRATIME, MS_NODIRATIME}, {MOUNT_ATTR_NOSYMFOLLOW, MS_NOSYMFOLLOW},
    };
    unsigned long result = 0;
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (attributes & flags[i].attribute) result |= flags[i].flag;
    return result;
}

// What fsconfig(2) can't take, such as a long list of an overlay's layers.
static int mount_by_data(struct stage *stage, const union argument *arguments, int target) {
    const char *path = arguments[0].string, *type = arguments[1].string, *source = arguments[2].string;
    static char data[MAX_DATA + 1];
    char place[64];
    size_t used = 0;
    for (struct list rest = arguments[3].strings; rest.count;) {
        const char *parameter = list_next_string(&rest);
        int length = snprintf(data + used, sizeof data - used, "%s%s", used ? "," : "", parameter);
        used += (size_t)length;
        if (used > MAX_DATA) return fail(stage, E2BIG, "mount %s on %s", type, path);
    }
    if (arguments[5].numbers.count || arguments[6].number & COVERED_LATER)
        return fail(stage, ENOTSUP, "mount %s on %s: long options with a propagation or masked paths", type, path);
    if (refuse_procfs(stage, target, path)) return -1;
    snprintf(place, sizeof place, "/proc/self/fd/%d", target);
    return mount(source, place, type, mount_flags(arguments[4].number), data)
               ? fail(stage, errno, "mount %s on %s", type, path)
               : 0;
}

// CVE-2019-19921: what is made may be a link again by the time that it is opened, so it is opened as strictly.
static int make_mount_point(const struct stage *stage, const char *path, uint64_t resolve) {
    int directory = make_directory_beneath(stage, path, 0755);
    if (directory < 0 || !resolve) return directory;
    close(directory);
    return open_beneath(stage, path, O_PATH | O_DIRECTORY, resolve);
}

int mount_filesystem(struct stage *stage, const union argument *arguments) {
    const char *path = arguments[0].string;
    uint64_t flags = arguments[6].number;
    uint64_t resolve = flags & NO_SYMLINKS ? RESOLVE_NO_SYMLINKS : 0;
    mode_t covered_mode = 0;
    struct stat status;
    int target = open_beneath(stage, path, O_PATH | O_DIRECTORY, resolve);
    // A tmpfs looks like the directory that it covers, as engines expect of runc.
    if (target >= 0 && !strcmp(arguments[1].string, "tmpfs") && !fstat(target, &status))
        covered_mode = status.st_mode & 07777;
    if (target < 0 && errno == ENOENT) target = make_mount_point(stage, path, resolve);
    if (target < 0 && (errno == ELOOP || errno == ENOTDIR))
        return fail(stage, errno, "mount %s on %s: it must be an ordinary directory", arguments[1].string, path);
    if (target < 0) return fail(stage, errno, "make the mount point %s", path);
    int result = fits_fsconfig(arguments[3].strings) ? mount_by_context(stage, arguments, target, covered_mode)
                                                     : mount_by_data(stage, arguments, target);
    close(target);
    return result;
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
    bool opened = slot < stage->bind_source_count;
    int tree = opened ? stage->bind_sources[slot].tree : clone_bind_source(stage, arguments[1].string, arguments[3].number != 0);
    if (tree < 0) return -1;
    if (opened) stage->bind_sources[slot].tree = -1;
    uint64_t set = arguments[4].number, clear = arguments[5].number;
    bool all_readonly = arguments[7].number & READONLY_BELOW;
    if (((set || clear) && tree_set(tree, 0, set, clear, 0)) ||
        (all_readonly && tree_set(tree, AT_RECURSIVE, MOUNT_ATTR_RDONLY, 0, 0)))
        return fail(stage, errno, "set the attributes of %s", path);
    int target = open_mount_point(stage, tree, path);
    if (target < 0) return -1;
    int result = attach(stage, tree, target, path, arguments[6].numbers, arguments[7].number);
    close(tree);
    close(target);
    return result;
}
