// SPDX-License-Identifier: Apache-2.0
// Mounts below the container's root: each is made detached, with all its attributes, and attached by descriptor.
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "mounts.h"
#include "mountapi.h"

static const uint64_t RECURSIVE_PROPAGATION = 1ULL << 63;

// CVE-2019-16884: what is mounted over a file of procfs would answer in the kernel's place.
static int refuse_procfs(struct stage *stage, int target, const char *path) {
    struct statfs status;
    if (fstatfs(target, &status)) return fail(stage, errno, "look at the mount point %s", path);
    if (status.f_type != PROC_SUPER_MAGIC) return 0;
    return fail(stage, EPERM, "mount on %s: the destination is inside procfs", path);
}

int set_propagation(int tree, struct list changes) {
    while (changes.count) {
        uint64_t change = list_next_number(&changes);
        unsigned flags = change & RECURSIVE_PROPAGATION ? AT_RECURSIVE : 0;
        if (tree_set(tree, flags, 0, 0, change & ~RECURSIVE_PROPAGATION)) return -1;
    }
    return 0;
}

// What is mounted over the root is the root from then on.
static int replace_root(struct stage *stage, int tree) {
    int copy = fcntl(tree, F_DUPFD_CLOEXEC, 0);
    if (copy < 0) return fail(stage, errno, "keep the mount on /");
    close(stage->root);
    stage->root = copy;
    forget_mounts(stage);
    return 0;
}

int attach_mount(struct stage *stage, int tree, int target, const char *path, struct list propagation,
                 uint64_t flags) {
    if (!(flags & INSIDE_PROCFS) && refuse_procfs(stage, target, path)) return -1;
    if (tree_attach(tree, target)) return fail(stage, errno, "mount on %s", path);
    if (set_propagation(tree, propagation)) return fail(stage, errno, "set the propagation of %s", path);
    if (!strcmp(path, "/")) return replace_root(stage, tree);
    return flags & REMEMBERED ? remember_mount(stage, path, tree) : 0;
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

static const char *locked_attribute(int tree, uint64_t clear) {
    static const struct { uint64_t attribute; unsigned long flag; const char *name; } locked[] = {
        {MOUNT_ATTR_RDONLY, ST_RDONLY, "ro"},
        {MOUNT_ATTR_NOSUID, ST_NOSUID, "nosuid"},
        {MOUNT_ATTR_NODEV, ST_NODEV, "nodev"},
        {MOUNT_ATTR_NOEXEC, ST_NOEXEC, "noexec"},
    };
    struct statvfs status;
    if (fstatvfs(tree, &status)) return NULL;
    for (size_t i = 0; i < sizeof locked / sizeof *locked; i++)
        if (clear & locked[i].attribute && status.f_flag & locked[i].flag) return locked[i].name;
    return clear & MOUNT_ATTR__ATIME ? "the access time" : NULL;
}

int set_attributes(struct stage *stage, int tree, const char *path, const union argument *bits) {
    uint64_t set = bits[0].number, clear = bits[1].number;
    uint64_t set_below = bits[2].number, clear_below = bits[3].number;
    if ((!(set | clear) || !tree_set(tree, 0, set, clear, 0)) &&
        (!(set_below | clear_below) || !tree_set(tree, AT_RECURSIVE, set_below, clear_below, 0)))
        return 0;
    int error = errno;
    const char *name = error == EPERM ? locked_attribute(tree, (clear & ~set) | (clear_below & ~set_below)) : NULL;
    if (!name) return fail(stage, error, "set the attributes of %s", path);
    return fail(stage, error, "change %s of %s, which the host's mount has and a user namespace can't change", name,
                path);
}

int bind_mount(struct stage *stage, const union argument *arguments) {
    uint64_t slot = arguments[0].number;
    const char *path = arguments[2].string;
    uint64_t mapping = arguments[10].number;
    const char *source = arguments[1].string;
    int tree = slot == NO_SLOT ? clone_bind_source(stage, source, arguments[3].number != 0) : take_source(stage, slot);
    if (tree < 0 || (mapping != NO_MAPPING && map_mount(stage, tree, mapping, NULL, source))) return -1;
    if (set_attributes(stage, tree, path, arguments + 4)) return -1;
    int target = open_mount_point(stage, tree, path);
    if (target < 0) return -1;
    int result = attach_mount(stage, tree, target, path, arguments[8].numbers, arguments[9].number);
    close(tree);
    close(target);
    return result;
}
