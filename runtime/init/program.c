// SPDX-License-Identifier: Apache-2.0
// The container's program: found before "created", as engines expect, and executed last.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "init.h"

enum { MAX_PASSWD = 1 << 20 };

// The image's file may be a link to one of procfs, which answers for the kernel or takes something from it.
static FILE *open_passwd(const struct stage *stage) {
    struct stat status;
    struct statfs system;
    int file = open_beneath(stage, "/etc/passwd", O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
    bool sound = file >= 0 && !fstat(file, &status) && S_ISREG(status.st_mode) && status.st_size <= MAX_PASSWD &&
                 !fstatfs(file, &system) && system.f_type != PROC_SUPER_MAGIC && system.f_type != SYSFS_MAGIC;
    FILE *stream = sound ? fdopen(file, "re") : NULL;
    if (!stream) close_descriptor(&file);
    return stream;
}

// name:password:UID:GID:comment:HOME:shell (passwd(5))
static const char *home_of_line(char *line, unsigned long user) {
    char *fields[7] = {0};
    for (int i = 0; i < 7 && line; i++) fields[i] = strsep(&line, ":\n");
    if (!fields[5] || !*fields[2]) return NULL;
    char *end;
    unsigned long number = strtoul(fields[2], &end, 10);
    return !*end && number == user ? fields[5] : NULL;
}

int find_home(struct stage *stage, const union argument *arguments) {
    FILE *passwd = open_passwd(stage);
    char *line = NULL;
    size_t size = 0;
    while (passwd && !stage->home && getline(&line, &size, passwd) > 0) {
        const char *home = home_of_line(line, (unsigned long)arguments[0].number);
        if (home && *home && asprintf(&stage->home, "HOME=%s", home) < 0) stage->home = NULL;
    }
    free(line);
    if (passwd) fclose(passwd);
    if (!stage->home) stage->home = strdup("HOME=/");
    return stage->home ? 0 : fail(stage, ENOMEM, "remember HOME");
}

// Without magic links: a program that is reached through a descriptor of this process need not be the container's.
static int check_executable(int directory, const char *path) {
    struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_NO_MAGICLINKS};
    int file = (int)syscall(SYS_openat2, directory, path, &how, sizeof how);
    if (file < 0) return errno;
    struct stat status;
    int error = fstat(file, &status) ? errno : 0;
    close(file);
    if (!error && (!S_ISREG(status.st_mode) || !(status.st_mode & 0111))) error = EACCES;
    return error;
}

static int search(struct stage *stage, int directory, const char *name, const char *path) {
    while (*path) {
        size_t length = strcspn(path, ":");
        char *candidate = NULL;
        if (asprintf(&candidate, "%.*s%s%s", (int)length, path, length ? "/" : "./", name) < 0) return ENOMEM;
        if (!check_executable(directory, candidate)) {
            stage->program = candidate;
            return 0;
        }
        free(candidate);
        path += length + (path[length] == ':');
    }
    return ENOENT;
}

// The words are runc's: engines look for them.
static int find(struct stage *stage, int directory, const char *name, const char *path) {
    if (!strchr(name, '/'))
        return search(stage, directory, name, path)
                   ? fail(stage, 0, "exec: \"%s\": executable file not found in $PATH", name)
                   : 0;
    int error = check_executable(directory, name);
    if (error == EACCES) return fail(stage, error, "exec: \"%s\"", name);
    if (error) return fail(stage, error, "exec: \"%s\": stat %s", name, name);
    stage->program = strdup(name);
    return stage->program ? 0 : fail(stage, ENOMEM, "remember the program");
}

int find_program(struct stage *stage, const union argument *arguments) {
    int directory = open_beneath(stage, arguments[2].string, O_PATH | O_DIRECTORY, 0);
    if (directory < 0) return fail(stage, errno, "open cwd (\"%s\")", arguments[2].string);
    int result = find(stage, directory, arguments[0].string, arguments[1].string);
    close(directory);
    return result;
}

// The list, and behind it those of the added ones that are there.
char **to_vector(struct list list, char *const added[ADDED]) {
    char **vector = calloc((size_t)list.count + ADDED + 1, sizeof *vector);
    size_t count = 0;
    while (vector && list.count) vector[count++] = (char *)(uintptr_t)list_next_string(&list);
    for (int i = 0; vector && i < ADDED; i++)
        if (added[i]) vector[count++] = added[i];
    return vector;
}

int execute_program(struct stage *stage, const union argument *arguments) {
    char *const none[ADDED] = {0};
    char listener[32];
    bool listens = arguments[2].number != 0;
    // sd_listen_fds(3): the pid as the program itself sees it.
    if (listens) snprintf(listener, sizeof listener, "LISTEN_PID=%d", getpid());
    char *const added[ADDED] = {stage->home, listens ? listener : NULL};
    char **words = to_vector(arguments[0].strings, none);
    char **environment = to_vector(arguments[1].strings, added);
    if (!words || !environment) return fail(stage, ENOMEM, "prepare the arguments");
    execve(stage->program, words, environment);
    return fail(stage, errno, "exec: \"%s\"", words[0]);
}
