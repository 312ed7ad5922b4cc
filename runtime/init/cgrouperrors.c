// SPDX-License-Identifier: Apache-2.0
// Cgroups in which no container can be born, and why.
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "init.h"

// Longer than a birth takes; on a machine with more to do it is just asked again.
static const struct timespec patience = {.tv_nsec = 300000000};

static bool has_event(int cgroup, const char *event) {
    char events[256];
    return !read_small_file(cgroup, "cgroup.events", events, sizeof events) && strstr(events, event);
}

static bool is_threaded(int cgroup) {
    char type[64];
    return !read_small_file(cgroup, "cgroup.type", type, sizeof type) &&
           (!strncmp(type, "threaded", 8) || !strncmp(type, "domain invalid", 14));
}

// Whichever operation notices it, the cgroup is the reason.
static int refuse(struct stage *stage, const char *path, const char *why) {
    stage->step.pointer = "/linux/cgroupsPath";
    return fail(stage, 0, "cgroup %.400s%s, or choose another linux.cgroupsPath", path, why);
}

static int refuse_frozen(struct stage *stage, const char *path) {
    return refuse(stage, path, ", or one above it, is frozen (cgroup.freeze): thaw it");
}

static int refuse_threaded(struct stage *stage, const char *path) {
    return refuse(stage, path, " is in a threaded subtree (cgroup.type), where no container can be: undo that");
}

static int refuse_internal(struct stage *stage, const char *path) {
    return refuse(stage, path, " passes controllers on (cgroup.subtree_control), so no process can be in it: undo that");
}

int check_cgroup(struct stage *stage, const char *path) {
    // What belongs to others would die with this container.
    if (stage->cgroup_existed && has_event(stage->cgroup, "populated 1"))
        return fail(stage, EBUSY, "cgroup %s has processes already", path);
    if (has_event(stage->cgroup, "frozen 1")) return refuse_frozen(stage, path);
    return is_threaded(stage->cgroup) ? refuse_threaded(stage, path) : 0;
}

// The frozen child of a clone never gets to its first act.
static bool acts_in_time(const struct birth *birth) {
    struct pollfd socket = {.fd = birth->socket, .events = POLLIN};
    return ppoll(&socket, 1, &patience, NULL) != 0;
}

static const char *path_of_cgroup(const struct stage *stage, char *path, size_t size) {
    char link[64];
    snprintf(link, sizeof link, "self/fd/%d", stage->cgroup);
    ssize_t length = readlinkat(stage->proc, link, path, size - 1);
    path[length < 0 ? 0 : length] = 0;
    return path;
}

int refuse_frozen_birth(struct stage *stage, const struct birth *birth) {
    char path[PATH_MAX];
    while (stage->cgroup >= 0 && !acts_in_time(birth)) {
        if (!has_event(stage->cgroup, "frozen 1")) continue;
        syscall(SYS_pidfd_send_signal, birth->pidfd, SIGKILL, NULL, 0);
        if (report(stage, "lost %ld", birth->process)) return -1;
        return refuse_frozen(stage, path_of_cgroup(stage, path, sizeof path));
    }
    return 0;
}

static bool passes_controllers_on(int cgroup) {
    char names[64];
    return !read_small_file(cgroup, "cgroup.subtree_control", names, sizeof names) && *names > ' ';
}

// What clone3(2) says of CLONE_INTO_CGROUP it also says of other things.
int fail_to_clone_init(struct stage *stage, int error) {
    char path[PATH_MAX];
    if (stage->cgroup < 0 || stage->entered_cgroup) return fail(stage, error, "clone the init");
    path_of_cgroup(stage, path, sizeof path);
    if (error == EOPNOTSUPP && is_threaded(stage->cgroup)) return refuse_threaded(stage, path);
    if (error == EBUSY && passes_controllers_on(stage->cgroup)) return refuse_internal(stage, path);
    return fail(stage, error, "clone the init into cgroup %.400s", path);
}
