// SPDX-License-Identifier: Apache-2.0
// Controllers of cgroups: passed down to where the container's is made, and set before its first process is born there.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "init.h"

enum { NAMES_SIZE = 512, MAX_DEPTH = 64, MAX_SHOWN = 100 };
static const char passed_down[] = "cgroup.subtree_control";

static bool has_name(const char *names, const char *name, size_t length) {
    while (*names) {
        names += strspn(names, " \n");
        size_t found = strcspn(names, " \n");
        if (found == length && !strncmp(names, name, length)) return true;
        names += found;
    }
    return false;
}

// Of a cgroup that was just made: whether the one above passes all of them on. The file stays open, as the programs of
// attach_device_filter do.
bool has_controllers(int cgroup, struct list names) {
    char available[NAMES_SIZE];
    if (!names.count) return true;
    int file = openat(cgroup, "cgroup.controllers", O_RDONLY | O_CLOEXEC);
    ssize_t length = file < 0 ? -1 : read(file, available, sizeof available - 1);
    if (length < 0) return false;
    available[length] = 0;
    while (names.count) {
        const char *name = list_next_string(&names);
        if (!has_name(available, name, strlen(name))) return false;
    }
    return true;
}

// Not asked of the root, which lacks the file cgroup.type: it may have processes and pass on controllers.
static bool has_processes(int cgroup) {
    char text[64];
    return !read_small_file(cgroup, "cgroup.type", text, sizeof text) &&
           !read_small_file(cgroup, "cgroup.procs", text, sizeof text) && *text;
}

// Makes words of "+NAME " for each name that is available and not passed down already. Returns -1 when it can't know.
static int list_missing(int cgroup, struct list names, char words[NAMES_SIZE]) {
    char passed[NAMES_SIZE], available[NAMES_SIZE] = "";
    size_t used = 0;
    *words = 0;
    if (read_small_file(cgroup, passed_down, passed, sizeof passed)) return -1;
    while (names.count) {
        const char *name = list_next_string(&names);
        size_t length = strlen(name);
        if (has_name(passed, name, length)) continue;
        if (!*available && read_small_file(cgroup, "cgroup.controllers", available, sizeof available)) return -1;
        if (!has_name(available, name, length) || used + length + 3 > NAMES_SIZE) continue;
        used += (size_t)snprintf(words + used, NAMES_SIZE - used, "+%s ", name);
    }
    return 0;
}

// What can't be passed down matters to a limit alone, and is reported when that is set. A cgroup with processes is left
// alone: it could pass on some controllers, but only as the head of a threaded subtree, where no container can be.
int pass_down_controllers(int cgroup, struct list names) {
    char words[NAMES_SIZE], word[NAME_MAX + 2];
    if (list_missing(cgroup, names, words)) return errno;
    if (!*words || has_processes(cgroup) || !write_text(cgroup, passed_down, words)) return 0;
    // One that is refused lets the whole write fail.
    while (names.count) {
        snprintf(word, sizeof word, "+%s", list_next_string(&names));
        (void)!write_text(cgroup, passed_down, word);
    }
    return 0;
}

// By name, which config.json may have given: of the cgroup itself, and nothing that is mounted over it.
static int write_limit(int cgroup, const char *name, const char *value) {
    struct open_how how = {.flags = O_WRONLY | O_CLOEXEC,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS};
    int file = (int)syscall(SYS_openat2, cgroup, name, &how, sizeof how);
    if (file < 0) return errno;
    size_t length = strlen(value);
    ssize_t written = write(file, value, length);
    int error = written < 0 ? errno : written == (ssize_t)length ? 0 : EIO;
    close(file);
    return error;
}

// Opens the cgroup above that has the controller and does not pass it on; -1 where none has it.
static int open_refusing(const struct stage *stage, const char *controller) {
    char names[NAMES_SIZE];
    int level = openat(stage->cgroup, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int depth = 0; level >= 0 && depth < MAX_DEPTH; depth++) {
        if (read_small_file(level, "cgroup.controllers", names, sizeof names)) break;
        if (has_name(names, controller, strlen(controller))) return level;
        int above = openat(level, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        close(level);
        level = above;
    }
    close_descriptor(&level);
    return -1;
}

static const char *why_it_refuses(int cgroup) {
    if (has_processes(cgroup))
        return "has processes of its own; move them to a cgroup below it, or choose another linux.cgroupsPath";
    if (faccessat(cgroup, passed_down, W_OK, AT_EACCESS))
        return "is not yours; have the controller delegated, or remove the limit";
    return "refuses; remove the limit, or choose another linux.cgroupsPath";
}

static int fail_without_controller(struct stage *stage, const char *name, const char *controller) {
    char link[64], path[PATH_MAX];
    int refusing = open_refusing(stage, controller);
    if (refusing < 0) return fail(stage, 0, "%s: no cgroup above the container's has controller %s", name, controller);
    snprintf(link, sizeof link, "self/fd/%d", refusing);
    ssize_t length = readlinkat(stage->proc, link, path, sizeof path - 1);
    path[length < 0 ? 0 : length] = 0;
    fail(stage, 0, "%s needs controller %s, which cgroup %.400s does not pass on: it %s", name, controller, path,
         why_it_refuses(refusing));
    close(refusing);
    return -1;
}

static int fail_to_write(struct stage *stage, int error, const char *name, const char *value) {
    char controller[NAME_MAX + 1], names[NAMES_SIZE];
    size_t length = strcspn(name, ".");
    if (error == ENOENT && length < sizeof controller && strncmp(name, "cgroup.", 7) != 0 &&
        !read_small_file(stage->cgroup, "cgroup.controllers", names, sizeof names) && !has_name(names, name, length)) {
        memcpy(controller, name, length);
        controller[length] = 0;
        return fail_without_controller(stage, name, controller);
    }
    size_t shown = strcspn(value, "\n");
    return fail(stage, error, "write \"%.*s\" to %s", shown > MAX_SHOWN ? MAX_SHOWN : (int)shown, value, name);
}

// Writes the first value whose file is there and does not refuse it as not its business.
int write_cgroup_file(struct stage *stage, const union argument *arguments) {
    struct list files = arguments[0].strings, values = arguments[1].strings;
    const char *name = NULL, *value = NULL;
    int error = EINVAL;
    while (files.count && values.count) {
        const char *next_name = list_next_string(&files), *next_value = list_next_string(&values);
        int result = write_limit(stage->cgroup, next_name, next_value);
        if (!result) return 0;
        // That the file to be used instead is missing says less than why the first refused.
        if (!name || result != ENOENT) name = next_name, value = next_value, error = result;
        if (result != ENOENT && result != EOPNOTSUPP) break;
    }
    if (error == ENOENT && arguments[2].number) return 0;
    return name ? fail_to_write(stage, error, name, value) : fail(stage, error, "no file to write");
}
