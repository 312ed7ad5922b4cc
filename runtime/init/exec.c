// SPDX-License-Identifier: Apache-2.0
// Entering a container that runs. The outer stage clones the entrant into the container's cgroup; the entrant joins the
// namespaces and descends from root where nobody in the container sees it, and a child of it becomes the program.
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "init.h"

// The start time may be rounded by a tick where a time namespace shifted it.
static bool is_recorded(const struct stage *stage, pid_t process, long long recorded) {
    long long ticks;
    return !start_time(stage, process, &ticks) && llabs(ticks - recorded) <= 1;
}

int find_container(struct stage *stage, const union argument *arguments) {
    (void)arguments;
    char record[128], *end;
    if (read_small_file(stage->state, "process", record, sizeof record))
        return fail(stage, errno, "read the container's process record");
    stage->container_pid = (pid_t)strtol(record, &end, 10);
    stage->container = (int)syscall(SYS_pidfd_open, stage->container_pid, 0);
    // After it was opened: the pidfd is that of the process whose start time is compared.
    if (stage->container < 0 || !is_recorded(stage, stage->container_pid, strtoll(end, NULL, 10)))
        return fail(stage, 0, "container not running");
    return 0;
}

static int open_below(int mount, const char *path) {
    struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS};
    path += strspn(path, "/");
    return (int)syscall(SYS_openat2, mount, *path ? path : ".", &how, sizeof how);
}

// The cgroup that the container's init has moved itself to, below the mount; proc(5): a line "0::PATH".
static int open_cgroup_of_container(const struct stage *stage, int mount) {
    char file[64], text[8192];
    snprintf(file, sizeof file, "%d/cgroup", stage->container_pid);
    if (read_small_file(stage->proc, file, text, sizeof text)) return -1;
    char *line = strncmp(text, "0::", 3) ? strstr(text, "\n0::") : text;
    if (!line) {
        errno = ENOENT;
        return -1;
    }
    char *path = strchr(line, '/');
    if (!path) return -1;
    path[strcspn(path, "\n")] = 0;
    return open_below(mount, path);
}

// A cgroup whose controllers are enabled for its children takes no process (cgroup-v2, "No Internal Process
// Constraint"): a systemd in the container has moved itself further down, and an entrant goes where it went.
static bool takes_processes(int cgroup) {
    char controllers[512], type[64];
    bool enabled = !read_small_file(cgroup, "cgroup.subtree_control", controllers, sizeof controllers) &&
                   controllers[strspn(controllers, " \n")];
    bool threaded = !read_small_file(cgroup, "cgroup.type", type, sizeof type) && strncmp(type, "domain\n", 7) != 0;
    return !enabled && !threaded;
}

int open_cgroup(struct stage *stage, const union argument *arguments) {
    const char *path = arguments[1].string;
    bool replaceable = arguments[2].number != 0;
    int mount = open(arguments[0].string, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (mount < 0) return fail(stage, errno, "open %s", arguments[0].string);
    stage->cgroup = open_below(mount, path);
    if (stage->cgroup < 0 && !replaceable) {
        int error = errno;
        close(mount);
        return fail(stage, error, "open cgroup %s", path);
    }
    if (replaceable && (stage->cgroup < 0 || !takes_processes(stage->cgroup))) {
        int other = open_cgroup_of_container(stage, mount);
        if (other >= 0) {
            close_descriptor(&stage->cgroup);
            stage->cgroup = other;
        }
    }
    close(mount);
    return stage->cgroup < 0 ? fail(stage, errno, "open cgroup %s", path) : 0;
}

int clone_entrant(struct stage *stage, const union argument *arguments) {
    (void)arguments;
    struct birth birth = {.may_be_frozen = true};
    if (clone_into_cgroup(stage, 0, &birth)) return -1;
    if (birth.process < 0) return fail(stage, errno, "clone into the container's cgroup");
    char byte = 0;
    if (birth.process > 0)
        _exit(report(stage, "pid %ld", birth.process) || send(birth.socket, &byte, 1, MSG_NOSIGNAL) != 1 ? 1 : 0);
    // Only now, so that pyrun hears of the entrant before it hears of the entrant's child.
    if (read(birth.socket, &byte, 1) != 1) return -1;
    close_descriptor(&birth.socket);
    close_descriptor(&stage->state);
    close_descriptor(&stage->cgroup);
    return 0;
}

static bool is_own_user_namespace(const struct stage *stage) {
    char path[64];
    struct stat own, other;
    snprintf(path, sizeof path, "%d/ns/user", stage->container_pid);
    return !fstatat(stage->proc, "self/ns/user", &own, 0) && !fstatat(stage->proc, path, &other, 0) &&
           own.st_dev == other.st_dev && own.st_ino == other.st_ino;
}

// The kernel refuses to join the user namespace that the process is in.
int enter_namespaces(struct stage *stage, const union argument *arguments) {
    int types = (int)arguments[0].number;
    if (types & CLONE_NEWUSER && is_own_user_namespace(stage)) types &= ~CLONE_NEWUSER;
    if (types & CLONE_NEWUSER && drop_groups(stage)) return -1;
    if (types && setns(stage->container, types))
        return errno == ESRCH ? fail(stage, 0, "container not running")
                              : fail(stage, errno, "join the container's namespaces");
    close_descriptor(&stage->container);
    close_descriptor(&stage->proc);
    return 0;
}

int use_entered_root(struct stage *stage, const union argument *arguments) {
    (void)arguments;
    stage->root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    return stage->root < 0 ? fail(stage, errno, "open the container's /") : 0;
}
