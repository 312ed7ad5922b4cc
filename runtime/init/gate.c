// SPDX-License-Identifier: Apache-2.0
// Where the init waits: for the pyrun that creates it, and at the gate, for `pyrun start`. The gate outlives the former.
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "init.h"

int open_gate(struct stage *stage, const union argument *arguments) {
    (void)arguments;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    // By descriptor: a path may be longer than a socket's address can hold.
    snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/gate.new", stage->state);
    stage->gate = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (stage->gate < 0) return fail(stage, errno, "make the gate's socket");
    return bind(stage->gate, (struct sockaddr *)&address, sizeof address) ? fail(stage, errno, "bind the gate") : 0;
}

// Hooks in the runtime's namespaces: pyrun runs them when the mounts stand, while their sources are still in sight.
int await_runtime_hooks(struct stage *stage, const union argument *arguments) {
    (void)arguments;
    return report(stage, "hooks") ? -1 : expect(stage->control, "go");
}

static uid_t peer_user(int descriptor) {
    struct ucred credentials = {.uid = (uid_t)-1};
    socklen_t size = sizeof credentials;
    getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &credentials, &size);
    return credentials.uid;
}

// A frozen init finds here, when it is thawed, those who have given up.
static bool is_still_there(int connection) {
    char byte;
    return recv(connection, &byte, 1, MSG_PEEK | MSG_DONTWAIT) != 0;
}

// Both ids are read from inside the container's user namespace, so the creator's looks the same in both.
static bool may_start(int connection, uid_t creator) {
    // Who connects and stays silent must not keep others from starting the container.
    struct timeval patience = {.tv_sec = 2};
    return !setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) &&
           peer_user(connection) == creator && !expect(connection, "start") && is_still_there(connection);
}

// The first process of a PID namespace is deaf to signals that it does not handle, and `pyrun kill` could not end it.
// execve(2) brings the defaults back.
static void end_by_signal(int number) { _exit(128 + number); }

static void hear_signals(void) {
    static const int ending[] = {SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM, SIGTERM};
    struct sigaction action = {.sa_handler = end_by_signal};
    for (size_t i = 0; i < sizeof ending / sizeof *ending; i++) sigaction(ending[i], &action, NULL);
}

int wait_at_gate(struct stage *stage, const union argument *arguments) {
    (void)arguments;
    uid_t creator = peer_user(stage->control);
    // CVE-2024-21626: nothing that leads out of the container stays open from here on.
    const int needed[] = {stage->control, stage->gate};
    if (!close_all_but(stage, needed, 2)) return fail(stage, errno, "close what the mounts needed");
    // Only now: whoever can connect sees a created container.
    if (listen(stage->gate, 8)) return fail(stage, errno, "listen at the gate");
    hear_signals();
    if (report(stage, "created")) return -1;
    close_descriptor(&stage->control);
    stage->report = -1;
    while (stage->report < 0) {
        // A connection that says nothing is `pyrun state`, asking whether somebody waits here.
        int connection = accept4(stage->gate, NULL, NULL, SOCK_CLOEXEC);
        if (connection < 0 && errno != EINTR && errno != ECONNABORTED) return -1;
        if (connection >= 0 && may_start(connection, creator)) stage->report = connection;
        else close_descriptor(&connection);
    }
    close_descriptor(&stage->gate);
    close_to_user(stage);
    (void)report(stage, "starting");  // a starter that is gone has still started the container
    return 0;
}
