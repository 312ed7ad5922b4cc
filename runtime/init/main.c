// SPDX-License-Identifier: Apache-2.0
// pyrun-init CONTROL STATE: carries out the plan in the state directory.
//
// It begins as the outer stage in the host's namespaces; the operation clone_init makes the container's init, which
// goes on in the same plan, and ends the outer stage. The last operation executes the container's program.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "init.h"

static int print_operations(void) {
    for (uint32_t i = 0; i < operation_count; i++) printf("%s %s\n", operations[i].name, operations[i].signature);
    return fflush(stdout) ? 1 : 0;
}

static int descriptor_argument(const char *text) {
    char *end;
    long number = strtol(text, &end, 10);
    return *text && !*end && number > STDERR_FILENO && number < 1 << 20 ? (int)number : -1;
}

// CVE-2019-5736: the container can reach this program's file through /proc/PID/exe, so it must not be writable.
static bool is_sealed(void) {
    int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    int seals = self < 0 ? -1 : fcntl(self, F_GET_SEALS);
    if (self >= 0) close(self);
    return seals >= 0 && (seals & F_SEAL_WRITE) && (seals & F_SEAL_SEAL);
}

// What is left open would be open in the container.
static bool keep_only(int control, int state) {
    return close_all_but(control, state) && !fcntl(control, F_SETFD, FD_CLOEXEC) &&
           !fcntl(state, F_SETFD, FD_CLOEXEC);
}

// By system call: the C library keeps signals 32 and 33 for itself, and a caller's may have ignored them.
static void reset_signals(void) {
    enum { SIGNALS = 64, SET_SIZE = SIGNALS / 8 };
    static const unsigned long by_default[8];
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    for (int number = 1; number <= SIGNALS; number++) syscall(SYS_rt_sigaction, number, by_default, NULL, SET_SIZE);
}

int main(int count, char **words) {
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    if (count == 2 && !strcmp(words[1], "--operations")) return print_operations();
    int control = count == 3 ? descriptor_argument(words[1]) : -1;
    int state = count == 3 ? descriptor_argument(words[2]) : -1;
    if (control < 0 || state < 0 || control == state) {
        static const char usage[] = "pyrun-init: only the pyrun command starts this program\n";
        (void)!write(STDERR_FILENO, usage, sizeof usage - 1);
        return 1;
    }
    prctl(PR_SET_NAME, "pyrun-init", 0, 0, 0);
    // The outer stage ends with its pyrun, even where it is stopped; the init, which is cloned, inherits none of this.
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    bool closed = keep_only(control, state);
    int error = errno;
    reset_signals();
    umask(0);

    static struct stage stage;
    stage = (struct stage){.report = control, .control = control, .state = state, .gate = -1, .proc = -1, .cgroup = -1,
                          .root = -1, .pid_namespace = -1, .procfs = -1, .empty = -1};
    if (!closed) return fail(&stage, error, "close the caller's descriptors"), 1;
    if (!is_sealed()) return fail(&stage, EPERM, "pyrun-init does not run from a sealed memory file"), 1;
    stage.proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (stage.proc < 0) return fail(&stage, errno, "open /proc"), 1;
    if (plan_open(&stage, state)) return 1;
    plan_execute(&stage);
    return 1;
}
