// SPDX-License-Identifier: Apache-2.0
// mount(2) attaches what it makes. For what fsconfig(2) can't take, the mount is made aside, in a directory that
// nobody else can reach, and a detached copy of it goes on.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mounts.h"
#include "mountapi.h"

static int place_of(char place[64], int descriptor) {
    return snprintf(place, 64, "/proc/self/fd/%d", descriptor);
}

static int mount_in(int directory, const char *type, const char *source, unsigned long flags, const char *data) {
    char place[64];
    if (mkdirat(directory, "mount", 0700)) return -1;
    int point = openat(directory, "mount", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (point < 0) return -1;
    place_of(place, point);
    int result = mount(source, place, type, flags, data);
    int error = errno;
    close(point);
    errno = error;
    return result ? -1 : tree_open(directory, "mount", OPEN_TREE_CLONE);
}

// On the container's root, which the host does not share, it covers nothing: paths are looked for from below.
int mount_aside(struct stage *stage, const char *type, const char *source, unsigned long flags, const char *data) {
    char place[64];
    int directory = fs_new("tmpfs");
    if (directory < 0) return -1;
    // The outer stage has no root yet, but stands in a mount namespace that is not the host's.
    int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (tree_attach(directory, stage->root < 0 ? root : stage->root)) close_descriptor(&directory);
    close_descriptor(&root);
    if (directory < 0) return -1;
    int tree = mount_in(directory, type, source, flags, data);
    int error = errno;
    place_of(place, directory);
    if (umount2(place, MNT_DETACH)) {
        error = errno;
        close_descriptor(&tree);
    }
    close(directory);
    errno = error;
    return tree;
}
