// SPDX-License-Identifier: Apache-2.0
// Hooks in the container's namespaces: createContainer before the change of root, with the host's files in sight and
// all privileges of the init; startContainer after the gate, with those that the program will have.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "init.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

enum { OUTPUT_SHOWN = 300, DEFAULT_UMASK = 022 };
enum ending { ENDED, OUT_OF_TIME, ALONE };

// input and output are files in memory: a hook that reads nothing or writes without end keeps nobody waiting.
struct hook {
    const char *path;
    char **words, **environment;
    uint64_t timeout;  // seconds, or 0
    int input, output;
    int refusal[2];  // a pipe for the errno of execve
    pid_t process;
};

static int memory_file(void) {
    int file = memfd_create("hook", MFD_CLOEXEC | MFD_NOEXEC_SEAL);
    return file < 0 && errno == EINVAL ? memfd_create("hook", MFD_CLOEXEC) : file;
}

// The container's state as JSON; the pid is as seen inside, as runc has it.
static int write_state(int file, const char *before_pid, const char *after_pid) {
    return dprintf(file, "%s%d%s", before_pid, getpid(), after_pid) < 0 || lseek(file, 0, SEEK_SET) < 0 ? -1 : 0;
}

static void become_hook(const struct stage *stage, const struct hook *hook) {
    bool created = stage->control < 0;  // with the working directory and the umask of the program
    setsid();
    if (!created) umask(DEFAULT_UMASK);
    int error = 0;
    if ((created || stage->root < 0 || !fchdir(stage->root)) && dup2(hook->input, STDIN_FILENO) >= 0 &&
        dup2(hook->output, STDOUT_FILENO) >= 0 && dup2(hook->output, STDERR_FILENO) >= 0 &&
        !syscall(SYS_close_range, STDERR_FILENO + 1U, UINT_MAX, CLOSE_RANGE_CLOEXEC) && !(error = filter_hook(stage)))
        execve(hook->path, hook->words, hook->environment);
    if (!error) error = errno;
    (void)!write(hook->refusal[1], &error, sizeof error);
    _exit(1);
}

static int64_t milliseconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t deadline_of(uint64_t timeout) {
    enum { LONGEST = INT_MAX };
    return timeout ? milliseconds_now() + (int64_t)(timeout < LONGEST ? timeout : LONGEST) * 1000 : INT64_MAX;
}

// Until the hook's own process has ended; what it left behind may go on. When the creating pyrun is gone, nobody needs
// the hook any more.
static enum ending wait_for_end(const struct stage *stage, int pidfd, uint64_t timeout) {
    int64_t deadline = deadline_of(timeout);
    for (;;) {
        struct pollfd awaited[] = {{.fd = pidfd, .events = POLLIN}, {.fd = stage->control}};
        int64_t left = deadline - milliseconds_now();
        int patience = !timeout ? -1 : left < 0 ? 0 : left < INT_MAX ? (int)left : INT_MAX;
        int ready = poll(awaited, 2, patience);
        bool broken = ready < 0 && errno != EINTR;
        if (broken || awaited[0].revents) return ENDED;
        if (awaited[1].revents) return ALONE;
        if (!ready && left <= 0) return OUT_OF_TIME;
    }
}

// With its children; one that may change its user can refuse the signal, and is not waited for.
static void end_hook(const struct hook *hook) {
    kill(-hook->process, SIGKILL);
    if (!kill(hook->process, SIGKILL)) waitpid(hook->process, NULL, 0);
}

// What the hook has written last, in one line.
static const char *words_written(const struct hook *hook, char *text, size_t size) {
    struct stat status;
    off_t most = (off_t)size - 1;
    off_t skipped = !fstat(hook->output, &status) && status.st_size > most ? status.st_size - most : 0;
    ssize_t length = pread(hook->output, text, size - 1, skipped);
    text[length < 0 ? 0 : length] = 0;
    char *line = skipped ? strchr(text, '\n') : NULL;
    if (!line || !line[1]) line = text;
    for (ssize_t i = 0; i < length; i++)
        if ((unsigned char)text[i] < ' ') text[i] = ' ';
    line += strspn(line, " ");
    size_t end = strlen(line);
    while (end && line[end - 1] == ' ') end--;
    line[end] = 0;
    return line;
}

static int fail_with_output(struct stage *stage, const struct hook *hook, const char *how, int number) {
    char text[OUTPUT_SHOWN + 1];
    const char *words = words_written(hook, text, sizeof text);
    return fail(stage, 0, "hook %s %s%d%s%s", hook->path, how, number, *words ? ": " : "", words);
}

static int fail_after_timeout(struct stage *stage, const struct hook *hook) {
    char text[OUTPUT_SHOWN + 1];
    const char *words = words_written(hook, text, sizeof text);
    return fail(stage, 0, "hook %s ran past its timeout of %llu s%s%s", hook->path, (unsigned long long)hook->timeout,
                *words ? ": " : "", words);
}

static int judge(struct stage *stage, const struct hook *hook, int status) {
    int error;
    if (read(hook->refusal[0], &error, sizeof error) == sizeof error) return fail(stage, error, "hook %s", hook->path);
    if (WIFSIGNALED(status)) return fail_with_output(stage, hook, "was killed by signal ", WTERMSIG(status));
    if (WEXITSTATUS(status)) return fail_with_output(stage, hook, "failed: exit status ", WEXITSTATUS(status));
    return 0;
}

static int see_to_its_end(struct stage *stage, const struct hook *hook, int pidfd) {
    int status = 0;
    enum ending ending = wait_for_end(stage, pidfd, hook->timeout);
    if (ending != ENDED) end_hook(hook);
    if (ending == ALONE) return -1;
    if (ending == OUT_OF_TIME) return fail_after_timeout(stage, hook);
    return waitpid(hook->process, &status, 0) < 0 ? fail(stage, errno, "wait for hook %s", hook->path)
                                                  : judge(stage, hook, status);
}

static int run(struct stage *stage, struct hook *hook) {
    hook->process = fork();
    if (hook->process < 0) return fail(stage, errno, "make a process for hook %s", hook->path);
    if (hook->process == 0) become_hook(stage, hook);
    close_descriptor(&hook->refusal[1]);
    int pidfd = (int)syscall(SYS_pidfd_open, hook->process, 0);
    if (pidfd < 0) {
        int error = errno;
        end_hook(hook);
        return fail(stage, error, "watch hook %s", hook->path);
    }
    int result = see_to_its_end(stage, hook, pidfd);
    close(pidfd);
    return result;
}

static int prepare_and_run(struct stage *stage, struct hook *hook, const union argument *arguments) {
    if (!hook->words || !hook->environment) return fail(stage, ENOMEM, "prepare hook %s", hook->path);
    if (hook->input < 0 || hook->output < 0 || pipe2(hook->refusal, O_CLOEXEC) ||
        write_state(hook->input, arguments[5].string, arguments[6].string))
        return fail(stage, errno, "prepare hook %s", hook->path);
    return run(stage, hook);
}

// The starter takes the end of its connection for the program's start, but not while a hook runs.
static void tell_starter(struct stage *stage, const char *message) {
    if (stage->control < 0) (void)report(stage, "%s", message);
}

// Arguments: path, args, env, whether HOME as it was found joins env, timeout, and the state before and after the pid.
int run_hook(struct stage *stage, const union argument *arguments) {
    char *const none[ADDED] = {0}, *const home[ADDED] = {arguments[3].number ? stage->home : NULL};
    struct hook hook = {.path = arguments[0].string,
                        .words = to_vector(arguments[1].strings, none),
                        .environment = to_vector(arguments[2].strings, home),
                        .timeout = arguments[4].number,
                        .input = memory_file(),
                        .output = memory_file(),
                        .refusal = {-1, -1}};
    tell_starter(stage, "hook");
    int result = prepare_and_run(stage, &hook, arguments);
    if (!result) tell_starter(stage, "starting");
    close_descriptor(&hook.input);
    close_descriptor(&hook.output);
    close_descriptor(&hook.refusal[0]);
    close_descriptor(&hook.refusal[1]);
    free(hook.words);
    free(hook.environment);
    return result;
}
