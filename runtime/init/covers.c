// SPDX-License-Identifier: Apache-2.0
// What is covered after all mounts are in place: read-only and masked paths.
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mounts.h"
#include "mountapi.h"

// Covers what the descriptor stands on; a path that the image does not have needs no cover.
static int cover(struct stage *stage, const char *path, int target, int tree) {
    int result = tree < 0 || tree_attach(tree, target) ? fail(stage, errno, "cover %s", path) : 0;
    close(target);
    return result;
}

int readonly_path(struct stage *stage, const union argument *arguments) {
    const char *path = arguments[0].string;
    int target = open_remembered(stage, path, 0);
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
static int empty_directory(struct stage *stage, const char *label) {
    if (stage->empty >= 0) return tree_open(stage->empty, "", OPEN_TREE_CLONE);
    int context = fs_open("tmpfs");
    if (context >= 0 && !fs_config(context, FSCONFIG_SET_STRING, "source", "tmpfs") &&
        !fs_config(context, FSCONFIG_SET_FLAG, "ro", NULL) &&
        !(*label && fs_config(context, FSCONFIG_SET_STRING, "context", label)) &&
        !fs_config(context, FSCONFIG_CMD_CREATE, NULL, NULL))
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

int mask_path(struct stage *stage, const union argument *arguments) {
    const char *path = arguments[0].string;
    struct stat status;
    int target = open_remembered(stage, path, 0);
    if (target < 0) return errno == ENOENT || errno == ENOTDIR ? 0 : fail(stage, errno, "open %s", path);
    if (fstat(target, &status)) return fail(stage, errno, "stat %s", path);
    int tree = S_ISDIR(status.st_mode) ? empty_directory(stage, arguments[1].string) : null_device(stage);
    int result = cover(stage, path, target, tree);
    if (tree != stage->empty) close_descriptor(&tree);
    return result;
}
