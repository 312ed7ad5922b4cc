// SPDX-License-Identifier: Apache-2.0
// pyrun-init CONTROL STATE KEPT [PLAN]: carries out the plan in the state directory, or the one in a file that is open.
//
// CONTROL is a socket to pyrun, STATE the state directory; the container keeps KEPT descriptors from 3 on. It begins as the outer stage in the host's namespaces; the operation clone_init makes the container's init, which
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

static int number_argument(const char *text, int lowest) {
    char *end;
    long number = strtol(text, &end, 10);
    return *text && !*end && number >= lowest && number < 1 << 20 ? (int)number : -1;
}

// CVE-2019-5736: the container can reach this program's file through /proc/PID/exe, so it must not be writable.
static bool is_sealed(void) {
    int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    int seals = self < 0 ? -1 : fcntl(self, F_GET_SEALS);
    if (self >= 0) close(self);
    return seals >= 0 && (seals & F_SEAL_WRITE) && (seals & F_SEAL_SEAL);
}

// What is left open would be open in the container.
static bool keep_only(const struct stage *stage, const int *descriptors, size_t count) {
    bool closing = close_all_but(stage, descriptors, count);
    for (size_t i = 0; closing && i < count; i++) closing = !fcntl(descriptors[i], F_SETFD, FD_CLOEXEC);
    return closing;
}

// The descriptors that the words name: CONTROL, STATE and, where it is given, PLAN; all differ, none is the container's.
static bool read_words(int count, char **words, struct stage *stage, int *descriptors, size_t *descriptor_count) {
    if (count != 4 && count != 5) return false;
    stage->kept = number_argument(words[3], 0);
    if (stage->kept < 0) return false;
    for (int i = 1; i < count; i++) {
        if (i == 3) continue;
        int descriptor = number_argument(words[i], STDERR_FILENO + 1 + stage->kept);
        for (size_t j = 0; j < *descriptor_count; j++)
            if (descriptors[j] == descriptor) return false;
        if (descriptor < 0) return false;
        descriptors[(*descriptor_count)++] = descriptor;
    }
    return true;
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
    static struct stage stage;
    stage = (struct stage){.report = -1, .control = -1, .state = -1, .gate = -1, .proc = -1, .cgroup = -1, .root = -1,
                          .pid_namespace = -1, .container = -1, .terminal = -1, .procfs = -1, .empty = -1};
    int descriptors[3];
    size_t descriptor_count = 0;
    if (!read_words(count, words, &stage, descriptors, &descriptor_count)) {
        static const char usage[] = "pyrun-init: only the pyrun command starts this program\n";
        (void)!write(STDERR_FILENO, usage, sizeof usage - 1);
        return 1;
    }
    prctl(PR_SET_NAME, "pyrun-init", 0, 0, 0);
    // The outer stage ends with its pyrun, even where it is stopped; the init, which is cloned, inherits none of this.
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    bool closed = keep_only(&stage, descriptors, descriptor_count);
    int error = errno;
    reset_signals();
    umask(0);

    stage.report = stage.control = descriptors[0];
    stage.state = descriptors[1];
    if (!closed) return fail(&stage, error, "close the caller's descriptors"), 1;
    if (!is_sealed()) return fail(&stage, EPERM, "pyrun-init does not run from a sealed memory file"), 1;
    stage.proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (stage.proc < 0) return fail(&stage, errno, "open /proc"), 1;
    if (plan_open(&stage, descriptor_count == 3 ? descriptors[2] : -1)) return 1;
    plan_execute(&stage);
    return 1;
}
