// SPDX-License-Identifier: Apache-2.0
// A program for containers that makes the system calls of its words, each in a process of its own, and prints a line for
// each: "value N", "error N", "signal N", or what is said below.
//
//   native:CALL[:ARGUMENT...]   by number, as this program is compiled; arguments in any base that strtoull knows
//   x32:CALL[:ARGUMENT...]      with the bit of x32 (x86-64 only)
//   i386:CALL[:ARGUMENT...]     by int 0x80 (x86-64 only)
//   trap:CALL                   "trap NUMBER ARCHITECTURE" for a SIGSYS that a handler gets
//   thread:CALL                 in a second thread: "lives" if the process still does when that has ended
//   trace:CALL                  below a tracer: "event N" with the number that it is told
//   say:CALL                    "said" if the call may be made, whatever it returns
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ARGUMENTS = 6, X32_BIT = 0x40000000 };

struct call {
    char kind[16];
    long number;
    uint64_t arguments[ARGUMENTS];
};

static struct call parse(char *word) {
    struct call call = {0};
    char *rest = word, *part = strsep(&rest, ":");
    snprintf(call.kind, sizeof call.kind, "%s", part);
    call.number = strtol((part = strsep(&rest, ":")) ? part : "0", NULL, 0);
    for (int i = 0; i < ARGUMENTS && (part = strsep(&rest, ":")); i++) call.arguments[i] = strtoull(part, NULL, 0);
    return call;
}

#ifdef __x86_64__
static long call_i386(const struct call *call) {
    long result;
    const uint64_t *a = call->arguments;
    __asm__ volatile("int $0x80"
                     : "=a"(result)
                     : "a"(call->number), "b"(a[0]), "c"(a[1]), "d"(a[2]), "S"(a[3]), "D"(a[4])
                     : "memory", "r8", "r9", "r10", "r11");
    return result;
}
#endif

static void print(const char *format, long number) {
    char line[64];
    int length = snprintf(line, sizeof line, format, number);
    (void)!write(STDOUT_FILENO, line, (size_t)length);
}

static long make(const struct call *call) {
    const uint64_t *a = call->arguments;
    long number = strcmp(call->kind, "x32") ? call->number : call->number | X32_BIT;
#ifdef __x86_64__
    if (!strcmp(call->kind, "i386")) {
        long result = (int)call_i386(call);
        errno = result < 0 ? (int)-result : 0;
        return result < 0 ? -1 : result;
    }
#endif
    return syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

static void make_and_print(const struct call *call) {
    long result = make(call);
    print(result < 0 ? "error %ld\n" : "value %ld\n", result < 0 ? errno : result);
}

static void trapped(int number, siginfo_t *information, void *context) {
    (void)number, (void)context;
    print("trap %ld ", information->si_syscall);
    print("%#lx\n", (long)information->si_arch);
    _exit(0);
}

static void *in_thread(void *call) {
    make(call);
    return NULL;
}

static void make_in_thread(struct call *call) {
    pthread_t thread;
    struct timespec moment = {.tv_nsec = 300000000};
    pthread_create(&thread, NULL, in_thread, call);
    nanosleep(&moment, NULL);
    print("lives\n", 0);
}

static void make_traced(const struct call *call) {
    pid_t child = fork();
    unsigned long data = 0;
    int status;
    if (!child) {
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        raise(SIGSTOP);
        make(call);
        _exit(0);
    }
    waitpid(child, &status, 0);
    ptrace(PTRACE_SETOPTIONS, child, 0, PTRACE_O_TRACESECCOMP | PTRACE_O_EXITKILL);
    ptrace(PTRACE_CONT, child, 0, 0);
    waitpid(child, &status, 0);
    if (status >> 8 == (SIGTRAP | PTRACE_EVENT_SECCOMP << 8)) {
        ptrace(PTRACE_GETEVENTMSG, child, 0, &data);
        print("event %ld\n", (long)data);
    } else {
        print("no event: status %ld\n", status);
    }
}

static void carry_out(struct call *call) {
    struct sigaction action = {.sa_sigaction = trapped, .sa_flags = SA_SIGINFO};
    if (!strcmp(call->kind, "trap")) sigaction(SIGSYS, &action, NULL);
    if (!strcmp(call->kind, "thread")) make_in_thread(call);
    else if (!strcmp(call->kind, "trace")) make_traced(call);
    else if (!strcmp(call->kind, "say")) make(call), print("said\n", 0);
    else make_and_print(call);
}

int main(int count, char **words) {
    for (int i = 1; i < count; i++) {
        struct call call = parse(words[i]);
        pid_t child = fork();
        int status = 0;
        if (!child) {
            carry_out(&call);
            _exit(0);
        }
        waitpid(child, &status, 0);
        if (WIFSIGNALED(status)) print("signal %ld\n", WTERMSIG(status));
    }
    return 0;
}
