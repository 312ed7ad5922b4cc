// SPDX-License-Identifier: Apache-2.0
// The mount interface by descriptors (fsopen(2), fsmount(2), open_tree(2), move_mount(2), mount_setattr(2)): by number
// where the C library has no wrapper, or one whose header collides with the kernel's.
#ifndef PYRUN_MOUNTAPI_H
#define PYRUN_MOUNTAPI_H

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef OPEN_TREE_CLOEXEC
#define OPEN_TREE_CLOEXEC O_CLOEXEC
#endif
#ifndef AT_RECURSIVE
#define AT_RECURSIVE 0x8000
#endif
#ifndef MOUNT_ATTR_NOSYMFOLLOW
#define MOUNT_ATTR_NOSYMFOLLOW 0x00200000
#endif

static inline int fs_open(const char *type) { return (int)syscall(SYS_fsopen, type, FSOPEN_CLOEXEC); }

static inline int fs_config(int context, unsigned command, const char *key, const char *value) {
    return (int)syscall(SYS_fsconfig, context, command, key, value, 0);
}

static inline int fs_config_descriptor(int context, const char *key, int descriptor) {
    return (int)syscall(SYS_fsconfig, context, FSCONFIG_SET_FD, key, NULL, descriptor);
}

static inline int fs_mount(int context, uint64_t attributes) {
    return (int)syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, (unsigned)attributes);
}

static inline int fs_pick(int mounted) {
    return (int)syscall(SYS_fspick, mounted, "", FSPICK_EMPTY_PATH | FSPICK_CLOEXEC);
}

// Returns a detached mount of a new file system without parameters.
static inline int fs_new(const char *type) {
    int context = fs_open(type);
    int tree = context >= 0 && !fs_config(context, FSCONFIG_CMD_CREATE, NULL, NULL) ? fs_mount(context, 0) : -1;
    int error = errno;
    if (context >= 0) close(context);
    errno = error;
    return tree;
}

static inline int tree_open(int directory, const char *path, unsigned flags) {
    return (int)syscall(SYS_open_tree, directory, path, flags | OPEN_TREE_CLOEXEC | (*path ? 0U : AT_EMPTY_PATH));
}

// Attaches the tree `from` where the descriptor `to` stands.
static inline int tree_attach(int from, int to) {
    return (int)syscall(SYS_move_mount, from, "", to, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
}

static inline int tree_set(int tree, unsigned flags, uint64_t set, uint64_t clear, uint64_t propagation) {
    struct mount_attr attributes = {.attr_set = set, .attr_clr = clear, .propagation = propagation};
    return (int)syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | flags, &attributes, sizeof attributes);
}

#endif
