// SPDX-License-Identifier: Apache-2.0
// Mounts that later operations look for. Whoever shares the image can move a mount point aside in between, so a path
// in a mount is looked for from the mount itself; in procfs and sysfs nobody can move it there.
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "mounts.h"

int remember_mount(struct stage *stage, const char *destination, int tree) {
    if (stage->remembered_count == MAX_REMEMBERED)
        return fail(stage, E2BIG, "more than %d mounts that are looked for again", MAX_REMEMBERED);
    int copy = fcntl(tree, F_DUPFD_CLOEXEC, 0);
    if (copy < 0) return fail(stage, errno, "keep the mount on %s", destination);
    stage->remembered[stage->remembered_count++] = (struct remembered_mount){destination, copy};
    return 0;
}

void forget_mounts(struct stage *stage) {
    while (stage->remembered_count) close(stage->remembered[--stage->remembered_count].tree);
}

// Returns what of `path` lies below `directory`, or NULL.
static const char *below(const char *path, const char *directory) {
    size_t length = strlen(directory);
    if (strncmp(path, directory, length) || (path[length] && path[length] != '/')) return NULL;
    path += length;
    return path + strspn(path, "/");
}

static int open_in_mount(int tree, const char *path, uint64_t resolve) {
    struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | resolve};
    long descriptor;
    // EAGAIN: something was renamed or mounted elsewhere while the kernel resolved a "..".
    for (int tries = 0; tries < 128; tries++) {
        descriptor = syscall(SYS_openat2, tree, path, &how, sizeof how);
        if (descriptor >= 0 || (errno != EAGAIN && errno != EINTR)) break;
    }
    return (int)descriptor;
}

int open_remembered(const struct stage *stage, const char *path, uint64_t resolve) {
    for (unsigned i = stage->remembered_count; i-- > 0;) {
        const struct remembered_mount *mount = &stage->remembered[i];
        const char *rest = below(path, mount->destination);
        if (!rest) continue;
        if (!*rest) return fcntl(mount->tree, F_DUPFD_CLOEXEC, 0);  // of a file too, which has no "."
        int descriptor = open_in_mount(mount->tree, rest, resolve);
        // A link leads out of the mount, as none of procfs and sysfs does: then to where the program would follow it.
        return descriptor < 0 && errno == EXDEV ? open_beneath(stage, path, O_PATH, resolve) : descriptor;
    }
    return open_beneath(stage, path, O_PATH, resolve);
}
