// SPDX-License-Identifier: Apache-2.0
// Short-lived children of the outer stage. Each stands in a namespace that the outer stage must not enter for good, so
// that it can be got hold of through procfs, and ends when it is let go, or the outer stage ends.
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "init.h"

static void stand_there(int socket, int (*enter)(const void *), const void *about) {
    char byte;
    int error = enter && enter(about) ? errno : 0;
    // A change of credentials makes the process as dumpable as fs.suid_dumpable says.
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    if (write(socket, &error, sizeof error) == sizeof error)
        while (read(socket, &byte, 1) < 0 && errno == EINTR) continue;
    _exit(0);
}

int start_helper(struct helper *helper, uint64_t namespaces, int (*enter)(const void *), const void *about) {
    struct clone_args clone = {.flags = namespaces, .exit_signal = SIGCHLD};
    int pair[2], error = EIO;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) return -1;
    helper->process = (pid_t)syscall(SYS_clone3, &clone, sizeof clone);
    if (helper->process < 0) error = errno;
    bool inside = helper->process == 0;
    close(pair[!inside]);
    if (inside) stand_there(pair[1], enter, about);
    helper->socket = pair[0];
    if (helper->process > 0) (void)!read(helper->socket, &error, sizeof error);
    if (!error) return 0;
    end_helper(helper);
    errno = error;
    return -1;
}

void end_helper(struct helper *helper) {
    close_descriptor(&helper->socket);
    while (helper->process > 0 && waitpid(helper->process, NULL, 0) < 0 && errno == EINTR) continue;
}

int open_of_helper(const struct stage *stage, const struct helper *helper, const char *name, int flags) {
    char path[64];
    snprintf(path, sizeof path, "%d/%s", helper->process, name);
    return openat(stage->proc, path, flags | O_CLOEXEC);
}
