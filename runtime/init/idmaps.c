// SPDX-License-Identifier: Apache-2.0
// The id maps of a new user namespace (user_namespaces(7)). Root writes them, and so does an ordinary user who maps
// nothing but one id of their own; what else /etc/subuid and /etc/subgid allow them, the setuid programs newuidmap and
// newgidmap map.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "init.h"

enum { NUMBERS_OF_EXTENT = 3, CANNOT_EXECUTE = 127 };

struct id_map {
    const char *file, *pointer;
    const char *extents;  // lines of three numbers: first id inside, first id outside, how many
    const char *mapper;   // path of the program that writes it, or ""
};

static bool is_ordinary_user(void) { return geteuid() != 0; }

// The kernel gives the files in /proc/PID of a process that is not dumpable to the host's root, and lets nobody without
// the host's CAP_SYS_PTRACE enter its namespaces. An ordinary user needs both: to write the maps, to wire a network, for
// `exec` before the start. So their processes are dumpable from the clone until the container is started. Whoever may
// trace them then could have the same without: on the host only the user, and in the user namespace, which is new,
// nobody but whom that user sends there.
void open_to_user(struct stage *stage) {
    if (is_ordinary_user()) stage->opened_to_user = !prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}

void close_to_user(struct stage *stage) {
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    stage->opened_to_user = false;
}

static int write_map(struct stage *stage, pid_t process, const struct id_map *map) {
    char path[64];
    snprintf(path, sizeof path, "%d/%s", process, map->file);
    return write_text(stage->proc, path, map->extents) ? fail(stage, errno, "write %s", map->file) : 0;
}

// CVE-2014-8989: who could leave a group would get at what is denied to its members.
static int deny_setgroups(struct stage *stage, pid_t process) {
    char path[64];
    snprintf(path, sizeof path, "%d/setgroups", process);
    return write_text(stage->proc, path, "deny") ? fail(stage, errno, "deny setgroups") : 0;
}

static size_t count_lines(const char *text) {
    size_t count = 0;
    for (; *text; text++) count += *text == '\n';
    return count;
}

// MAPPER PID [FIRST-INSIDE FIRST-OUTSIDE HOW-MANY]... (newuidmap(1)); `numbers` is cut up.
static char **command_of(const char *mapper, char *process, char *numbers) {
    char **words = calloc(NUMBERS_OF_EXTENT * count_lines(numbers) + 3, sizeof *words);
    size_t count = 0;
    if (!words) return NULL;
    words[count++] = (char *)(uintptr_t)mapper;
    words[count++] = process;
    for (char *rest = numbers, *word; (word = strsep(&rest, " \n"));)
        if (*word) words[count++] = word;
    return words;
}

static void execute_mapper(char **words, int errors) {
    static char *const environment[] = {NULL};
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 || dup2(errors, STDERR_FILENO) < 0)
        _exit(CANNOT_EXECUTE);
    syscall(SYS_close_range, STDERR_FILENO + 1, ~0U, 0);
    execve(words[0], words, environment);
    _exit(CANNOT_EXECUTE);
}

static int wait_for(pid_t process, int *status) {
    pid_t ended;
    do ended = waitpid(process, status, 0);
    while (ended < 0 && errno == EINTR);
    return ended < 0 ? -1 : 0;
}

static int report_mapper(struct stage *stage, const char *mapper, int status, int errors) {
    char words[256];
    ssize_t length = pread(errors, words, sizeof words - 1, 0);
    words[length > 0 ? length : 0] = 0;
    words[strcspn(words, "\n")] = 0;
    if (*words) return fail(stage, 0, "%s", words);
    return WIFSIGNALED(status) ? fail(stage, 0, "%s was killed by signal %d", mapper, WTERMSIG(status))
                               : fail(stage, 0, "%s ended with status %d", mapper, WEXITSTATUS(status));
}

static int run_command(struct stage *stage, char **words) {
    int status, errors = memfd_create("errors", MFD_CLOEXEC);
    if (errors < 0) return fail(stage, errno, "make a file for the errors of %s", words[0]);
    pid_t mapper = fork();
    if (mapper == 0) execute_mapper(words, errors);
    int result = 0;
    if (mapper < 0 || wait_for(mapper, &status)) result = fail(stage, errno, "run %s", words[0]);
    else if (status) result = report_mapper(stage, words[0], status, errors);
    close(errors);
    return result;
}

static int run_mapper(struct stage *stage, pid_t process, const struct id_map *map) {
    char number[16];
    snprintf(number, sizeof number, "%d", process);
    if (access(map->mapper, X_OK)) return fail(stage, errno, "execute %s", map->mapper);
    char *numbers = strdup(map->extents);
    char **words = numbers ? command_of(map->mapper, number, numbers) : NULL;
    int result = words ? run_command(stage, words) : fail(stage, ENOMEM, "prepare the arguments of %s", map->mapper);
    free(words);
    free(numbers);
    return result;
}

static int make_map(struct stage *stage, pid_t process, const struct id_map *map) {
    stage->step.name = "map_ids";
    stage->step.pointer = map->pointer;
    return *map->mapper ? run_mapper(stage, process, map) : write_map(stage, process, map);
}

int write_id_maps(struct stage *stage, pid_t process, const union argument *arguments) {
    const struct id_map users = {"uid_map", "/linux/uidMappings", arguments[1].string, arguments[3].string};
    const struct id_map groups = {"gid_map", "/linux/gidMappings", arguments[2].string, arguments[4].string};
    struct step clone = stage->step;
    if (*groups.extents) {
        if (!*groups.mapper && is_ordinary_user() && deny_setgroups(stage, process)) return -1;
        if (make_map(stage, process, &groups)) return -1;
    }
    if (*users.extents && make_map(stage, process, &users)) return -1;
    stage->step = clone;
    return 0;
}
