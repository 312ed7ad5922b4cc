// SPDX-License-Identifier: Apache-2.0
// The container's cgroup: made, or taken over where nobody is in it, and held open for clone3's CLONE_INTO_CGROUP. Almost
// always the cgroup above it is there and passes on all controllers: then four calls do. For all else: cgrouppath.c.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "init.h"

// That it is a cgroup of version 2 the kernel checks, when a device filter is attached and when it is cloned into.
static int open_made(const char *path) {
    struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC, .resolve = RESOLVE_NO_SYMLINKS};
    return (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how);
}

int make_cgroup(struct stage *stage, const union argument *arguments) {
    char path[PATH_MAX];
    int length = snprintf(path, sizeof path, "%s%s", arguments[0].string, arguments[1].string);
    bool made = length < PATH_MAX && !mkdirat(AT_FDCWD, path, 0755);
    if (made && (stage->cgroup = open_made(path)) >= 0 && has_controllers(stage->cgroup, arguments[2].strings)) return 0;
    close_descriptor(&stage->cgroup);
    return make_cgroup_path(stage, arguments, made);
}

// Only where a user or cgroup namespace is joined: from inside it, the kernel would refuse CLONE_INTO_CGROUP.
int enter_cgroup(struct stage *stage, const union argument *arguments) {
    (void)arguments;
    if (!is_cgroup2(stage->cgroup)) return fail(stage, ENOTSUP, "the cgroup is not on a cgroup2 mount");
    if (write_text(stage->cgroup, "cgroup.procs", "0")) return fail(stage, errno, "enter the cgroup");
    stage->entered_cgroup = true;
    return 0;
}
