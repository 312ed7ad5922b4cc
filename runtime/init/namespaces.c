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

int join_namespaces(struct stage *stage, const union argument *arguments) {
    (void)arguments;
    for (unsigned i = 0; i < stage->namespace_count; i++) {
        struct opened_namespace *each = &stage->namespaces[i];
        if (setns(each->descriptor, each->type))
            return fail(stage, errno, "join the %s namespace", namespace_name(each->type));
        close_descriptor(&each->descriptor);
    }
    return 0;
}

int unshare_time(struct stage *stage, const union argument *arguments) {
    (void)arguments;
    return unshare(CLONE_NEWTIME) ? fail(stage, errno, "make a time namespace") : 0;
}

// For what clone3 would make too early: it takes the cgroup of the outer stage as the root of a cgroup namespace, and
// the owner of an IPC namespace's message queues would be a user that the container's user namespace does not map.
int unshare_namespaces(struct stage *stage, const union argument *arguments) {
    return unshare((int)arguments[0].number) ? fail(stage, errno, "make namespaces") : 0;
}

static int write_map(struct stage *stage, pid_t process, const char *file, const char *map) {
    char path[64];
    if (!*map) return 0;
    snprintf(path, sizeof path, "/proc/%d/%s", process, file);
    return write_text(AT_FDCWD, path, map) ? fail(stage, errno, "write %s", file) : 0;
}

// Field 22 of /proc/PID/stat (proc(5)), counted from behind the command's name, which can hold anything.
static int start_time(pid_t process, unsigned long long *ticks) {
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", process);
    if (read_small_file(AT_FDCWD, path, text, sizeof text)) return -1;
    char *field = strrchr(text, ')');
    for (int number = 2; field && number < 22; number++) field = strchr(field + 1, ' ');
    if (!field) return -1;
    *ticks = strtoull(field, NULL, 10);
    return 0;
}

static int write_process_record(struct stage *stage, pid_t process, unsigned long long ticks) {
    char record[96];
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int length = snprintf(record, sizeof record, "%d %llu %lld.%09ld\n", process, ticks, (long long)now.tv_sec,
                          now.tv_nsec);
    int file = openat(stage->state, "process.new", O_CREAT | O_TRUNC | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (file < 0) return fail(stage, errno, "make the process record");
    ssize_t written = write(file, record, (size_t)length);
    int error = written < 0 ? errno : ENOSPC;
    close(file);
    if (written != length) return fail(stage, error, "write the process record");
    if (renameat(stage->state, "process.new", stage->state, "process"))
        return fail(stage, errno, "rename the process record");
    return 0;
}

static int record_init(struct stage *stage, pid_t process, const union argument *arguments) {
    unsigned long long ticks;
    if (write_map(stage, process, "gid_map", arguments[2].string)) return -1;
    if (write_map(stage, process, "uid_map", arguments[1].string)) return -1;
    if (start_time(process, &ticks)) return fail(stage, EIO, "read the start time of process %d", process);
    if (write_process_record(stage, process, ticks)) return -1;
    return report(stage, "pid %d %llu", process, ticks);
}

static void close_outer_descriptors(struct stage *stage) {
    close_descriptor(&stage->state);
    close_descriptor(&stage->cgroup);
}

// The init becomes pyrun's child (CLONE_PARENT) and is born in its cgroup, so it is never migrated. It goes on when
// pyrun says so; if pyrun is gone, it ends.
int clone_init(struct stage *stage, const union argument *arguments) {
    int pidfd = -1;
    struct clone_args clone = {.flags = arguments[0].number | CLONE_PARENT | CLONE_PIDFD,
                               .pidfd = (uint64_t)(uintptr_t)&pidfd};
    if (stage->cgroup >= 0 && !stage->entered_cgroup) {
        clone.flags |= CLONE_INTO_CGROUP;
        clone.cgroup = (unsigned)stage->cgroup;
    }
    long process = syscall(SYS_clone3, &clone, sizeof clone);
    if (process < 0) return fail(stage, errno, "clone the init");
    if (process > 0) {
        if (!record_init(stage, (pid_t)process, arguments)) _exit(0);
        syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
        return -1;
    }
    close_outer_descriptors(stage);
    return expect(stage->control, "go");
}

// In a user namespace the init has every capability but, until now, an id that the namespace does not map.
int become_root(struct stage *stage, const union argument *arguments) {
    (void)arguments;
    if (setgroups(0, NULL) && errno != EPERM) return fail(stage, errno, "drop the groups");
    if (setresgid(0, 0, 0)) return fail(stage, errno, "become group 0");
    if (setresuid(0, 0, 0)) return fail(stage, errno, "become user 0");
    // A change of ids makes the process as dumpable as fs.suid_dumpable says.
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    return 0;
}
