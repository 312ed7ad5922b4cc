// SPDX-License-Identifier: Apache-2.0
// Namespaces: joined by the outer stage, made by the clone of the init.
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/nsfs.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "init.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

static const char *namespace_name(int type) {
    switch (type) {
        case CLONE_NEWCGROUP: return "cgroup";
        case CLONE_NEWIPC: return "ipc";
        case CLONE_NEWNET: return "network";
        case CLONE_NEWNS: return "mount";
        case CLONE_NEWPID: return "pid";
        case CLONE_NEWTIME: return "time";
        case CLONE_NEWUSER: return "user";
        case CLONE_NEWUTS: return "uts";
        default: return "unknown";
    }
}

// All are opened before the first is joined: a joined mount or user namespace changes what a path leads to.
int open_namespace(struct stage *stage, const union argument *arguments) {
    const char *path = arguments[1].string;
    int wanted = (int)arguments[0].number;
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (descriptor < 0) return fail(stage, errno, "open %s", path);
    int type = ioctl(descriptor, NS_GET_NSTYPE);
    if (type < 0) return fail(stage, 0, "%s is not a namespace", path);
    if (type != wanted)
        return fail(stage, 0, "%s is a %s namespace, not a %s namespace", path, namespace_name(type),
                    namespace_name(wanted));
    if (stage->namespace_count == MAX_NAMESPACES) return fail(stage, EINVAL, "too many namespaces");
    stage->namespaces[stage->namespace_count++] = (struct opened_namespace){descriptor, type};
    return 0;
}

static const char *namespace_file(int type) {
    switch (type) {
        case CLONE_NEWNET: return "net";
        case CLONE_NEWNS: return "mnt";
        default: return namespace_name(type);
    }
}

// By the outer stage, which is still in pyrun's namespaces, about one that is open.
int refuse_own_namespace(struct stage *stage, const union argument *arguments) {
    int type = (int)arguments[0].number;
    char file[32];
    struct stat own, other;
    snprintf(file, sizeof file, "self/ns/%s", namespace_file(type));
    if (fstatat(stage->proc, file, &own, 0) || fstat(find_namespace(stage, type), &other))
        return fail(stage, errno, "look at the %s namespaces", namespace_name(type));
    return own.st_dev != other.st_dev || own.st_ino != other.st_ino
               ? 0
               : fail(stage, 0, "%s is pyrun's own %s namespace: the parameter would be changed for the whole host",
                      arguments[1].string, namespace_name(type));
}

// Who has joined a user namespace that denies setgroups(2) could not give up the caller's any more.
int drop_groups(struct stage *stage) {
    return setgroups(0, NULL) && errno != EPERM ? fail(stage, errno, "drop the groups") : 0;
}

int join_namespaces(struct stage *stage, const union argument *arguments) {
    for (unsigned i = 0; i < stage->namespace_count; i++) {
        struct opened_namespace *each = &stage->namespaces[i];
        if (!(arguments[0].number & (unsigned)each->type)) continue;
        if (each->type == CLONE_NEWUSER && drop_groups(stage)) return -1;
        if (setns(each->descriptor, each->type))
            return fail(stage, errno, "join the %s namespace", namespace_name(each->type));
        // A change of credentials makes the process as dumpable as fs.suid_dumpable says; its clone may be seen inside.
        if (each->type == CLONE_NEWUSER) prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
        if (each->type == CLONE_NEWTIME) stage->joined_time = true;
        close_descriptor(&each->descriptor);
    }
    return 0;
}

int unshare_time(struct stage *stage, const union argument *arguments) {
    (void)arguments;
    return unshare(CLONE_NEWTIME) ? fail(stage, errno, "make a time namespace") : 0;
}

// Before anyone enters it: from then on the kernel keeps the offsets as they are (time_namespaces(7)).
int set_time_offsets(struct stage *stage, const union argument *arguments) {
    const char *lines = arguments[0].string;
    return write_text(stage->proc, "self/timens_offsets", lines) ? fail(stage, errno, "set the offsets of the clocks") : 0;
}

// For what clone3 would make too early: it takes the cgroup of the outer stage as the root of a cgroup namespace, and
// the owner of an IPC namespace's message queues would be a user that the container's user namespace does not map.
int unshare_namespaces(struct stage *stage, const union argument *arguments) {
    return unshare((int)arguments[0].number) ? fail(stage, errno, "make namespaces") : 0;
}

static int record_init(struct stage *stage, pid_t process, const union argument *arguments) {
    long long ticks;
    if (write_id_maps(stage, process, arguments)) return -1;
    if (start_time(stage, process, &ticks)) return fail(stage, EIO, "read the start time of process %d", process);
    return write_process_record(stage, process, ticks);
}

static void close_outer_descriptors(struct stage *stage) {
    close_descriptor(&stage->state);
    close_descriptor(&stage->proc);
    close_descriptor(&stage->cgroup);
}

// The process becomes pyrun's child (CLONE_PARENT) and is born in its cgroup, so it is never migrated. Its first act
// is one byte to the outer stage.
static void clone_process(const struct stage *stage, uint64_t namespaces, struct birth *birth) {
    int pair[2];
    birth->process = -1;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) return;
    struct clone_args clone = {.flags = namespaces | CLONE_PARENT | CLONE_PIDFD,
                               .pidfd = (uint64_t)(uintptr_t)&birth->pidfd};
    if (stage->cgroup >= 0 && !stage->entered_cgroup) {
        clone.flags |= CLONE_INTO_CGROUP;
        clone.cgroup = (unsigned)stage->cgroup;
    }
    birth->process = syscall(SYS_clone3, &clone, sizeof clone);
    int error = errno;
    bool inside = birth->process == 0;
    birth->socket = pair[inside];
    close(pair[!inside]);
    if (inside) (void)!write(birth->socket, "", 1);
    errno = error;
}

static bool is_alive(const struct birth *birth) {
    char byte;
    return read(birth->socket, &byte, 1) == 1;
}

// The outer stage's part, as soon as the init is there.
static int finish_outside(struct stage *stage, const struct birth *birth, const union argument *arguments) {
    pid_t process = (pid_t)birth->process;
    if (!record_init(stage, process, arguments) && !write_limit_at_birth(stage) &&
        !send_bind_sources(stage, birth->socket, birth->pidfd) && !report(stage, "pid %d", process))
        return 0;
    syscall(SYS_pidfd_send_signal, birth->pidfd, SIGKILL, NULL, 0);
    return -1;
}

// The init goes on when pyrun says so; if pyrun is gone, it ends.
static int begin_inside(struct stage *stage, struct birth *birth) {
    close_outer_descriptors(stage);
    if (expect(stage->control, "go")) return -1;
    int result = receive_bind_sources(stage, birth->socket);
    close_descriptor(&birth->socket);
    return result;
}

int clone_into_cgroup(struct stage *stage, uint64_t namespaces, struct birth *birth) {
    clone_process(stage, namespaces, birth);
    if (birth->process > 0 && !birth->may_be_frozen && refuse_frozen_birth(stage, birth)) return -1;
    // Linux 6.14 and later compare how often cgroup.kill was written in the cgroup of the caller, not in the one that
    // is cloned into, with the latter: where the numbers differ, the child is killed at its birth.
    if (birth->process > 0 && !is_alive(birth) && stage->cgroup >= 0 && !stage->entered_cgroup) {
        if (report(stage, "lost %ld", birth->process) || enter_cgroup(stage, NULL)) return -1;
        clone_process(stage, namespaces, birth);
        // Taken from the socket in any case: with its byte unread the child would find the socket reset, not closed.
        if (birth->process > 0) (void)is_alive(birth);
    }
    return 0;
}

int clone_init(struct stage *stage, const union argument *arguments) {
    struct birth birth = {.may_be_frozen = false};
    if (arguments[0].number & CLONE_NEWUSER) open_to_user(stage);
    if (clone_into_cgroup(stage, arguments[0].number, &birth)) return -1;
    if (birth.process < 0) return fail_to_clone_init(stage, errno);
    if (birth.process == 0) return begin_inside(stage, &birth);
    if (finish_outside(stage, &birth, arguments)) return -1;
    _exit(0);
}

int find_namespace(const struct stage *stage, int type) {
    for (unsigned i = 0; i < stage->namespace_count; i++)
        if (stage->namespaces[i].type == type) return stage->namespaces[i].descriptor;
    return -1;
}

// A child, pyrun's too, takes over: only a child is in a PID namespace that its parent has joined. It begins when pyrun
// has been told of it, so that nothing that it says comes before that.
static int go_on_in_child(struct stage *stage) {
    struct clone_args clone = {.flags = CLONE_PARENT};
    int pair[2];
    char byte = 0;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) return fail(stage, errno, "make a socket");
    long process = syscall(SYS_clone3, &clone, sizeof clone);
    if (process < 0) return fail(stage, errno, "enter the pid namespace");
    if (process > 0)
        _exit(report(stage, "pid %ld", process) || send(pair[1], &byte, 1, MSG_NOSIGNAL) != 1 ? 1 : 0);
    close(pair[1]);
    bool told = read(pair[0], &byte, 1) == 1;
    close(pair[0]);
    // Not in silence, which would look like a program that has been executed.
    return told ? 0 : fail(stage, EPIPE, "enter the pid namespace");
}

// Only a process that has taken over is told to go on.
int await_go(struct stage *stage, const union argument *arguments) {
    (void)arguments;
    return stage->took_over ? expect(stage->control, "go") : 0;
}

// From here on the container's processes see this one: CVE-2016-9962, CVE-2024-21626.
int go_on_inside(struct stage *stage, const union argument *arguments) {
    (void)arguments;
    const int needed[] = {stage->control, stage->gate, stage->terminal};
    if (!close_all_but(stage, needed, 3)) return fail(stage, errno, "close what is not the container's");
    stage->took_over = true;
    return go_on_in_child(stage);
}

static int go_on_in_pid_namespace(struct stage *stage, int namespace) {
    if (setns(namespace, CLONE_NEWPID)) return fail(stage, errno, "join the pid namespace");
    return go_on_in_child(stage) || expect(stage->control, "go") ? -1 : 0;
}

// A joined PID namespace has processes that may be allowed to trace the init, and to see the host through it. So where
// procfs can be mounted for a namespace from outside (Linux 6.17), they get to see only the process that goes on when
// the container's root is "/".
int prepare_pid_namespace(struct stage *stage, const union argument *arguments) {
    (void)arguments;
    int namespace = find_namespace(stage, CLONE_NEWPID);
    if (procfs_knows_namespaces(namespace)) {
        stage->pid_namespace = namespace;
        return 0;
    }
    return go_on_in_pid_namespace(stage, namespace);
}

// While the init still has the privileges for it; it concerns the init's children only.
int join_pid_namespace(struct stage *stage, const union argument *arguments) {
    (void)arguments;
    if (stage->pid_namespace < 0) return 0;
    return setns(stage->pid_namespace, CLONE_NEWPID) ? fail(stage, errno, "join the pid namespace") : 0;
}

int enter_pid_namespace(struct stage *stage, const union argument *arguments) {
    if (stage->pid_namespace < 0) return 0;
    stage->pid_namespace = -1;
    return go_on_inside(stage, arguments) ? -1 : new_session(stage, arguments);
}

// In a user namespace the init has every capability but, until now, an id that the namespace does not map.
int become_root(struct stage *stage, const union argument *arguments) {
    (void)arguments;
    if (drop_groups(stage)) return -1;
    if (setresgid(0, 0, 0)) return fail(stage, errno, "become group 0");
    if (setresuid(0, 0, 0)) return fail(stage, errno, "become user 0");
    // A change of ids makes the process as dumpable as fs.suid_dumpable says.
    prctl(PR_SET_DUMPABLE, stage->opened_to_user, 0, 0, 0);
    return 0;
}
