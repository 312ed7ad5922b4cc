// SPDX-License-Identifier: Apache-2.0
// A procfs of our own that nobody can have mounted something over: CVE-2025-52881 redirected a runtime's writes.
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "init.h"
#include "mountapi.h"

bool procfs_knows_namespaces(int pid_namespace) {
    int context = fs_open("proc");
    bool known = context >= 0 && !fs_config_descriptor(context, "pidns", pid_namespace);
    if (context >= 0) close(context);
    return known;
}

static int if_procfs(int tree) {
    struct statfs status;
    if (tree < 0 || (!fstatfs(tree, &status) && status.f_type == PROC_SUPER_MAGIC)) return tree;
    close(tree);
    errno = ENODEV;
    return -1;
}

// In a user namespace the kernel refuses a new procfs unless one is fully visible; a clone of the host's, without
// what is mounted below it, is as good: the init can't have changed it, as it still stands in the host's root. In the
// host's mount namespace it may not clone either, nor can anybody in the container have covered anything there.
static int procfs_of_the_host(void) {
    int tree = if_procfs(tree_open(AT_FDCWD, "/proc", OPEN_TREE_CLONE));
    return tree < 0 && errno == EPERM ? if_procfs(open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC)) : tree;
}

// Comes before the pivot: what stands at /proc afterwards is the image's or the config's.
int open_own_procfs(struct stage *stage, const union argument *arguments) {
    (void)arguments;
    stage->procfs = fs_new("proc");
    if (stage->procfs < 0) stage->procfs = procfs_of_the_host();
    return stage->procfs < 0 ? fail(stage, errno, "open a private procfs") : 0;
}

// The private one; in the outer stage the host's, which the container can't have touched.
int procfs_of(const struct stage *stage) { return stage->procfs >= 0 ? stage->procfs : stage->proc; }

int open_procfs(const struct stage *stage, const char *path, int flags) {
    struct open_how how = {.flags = (unsigned)(flags | O_CLOEXEC),
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS};
    return (int)syscall(SYS_openat2, procfs_of(stage), path, &how, sizeof how);
}
