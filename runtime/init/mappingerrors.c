// SPDX-License-Identifier: Apache-2.0
// Why the kernel refuses to map the ids of a mount: it says so by an error number only, the mount table knows the rest.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mappings.h"
#include "mountapi.h"

enum { MAX_TABLE = 1 << 18 };

// A line of the mount table, cut up (proc_pid_mountinfo(5)).
struct mount_line {
    uint64_t id;
    char *point, *options, *type;
};

// The outer stage holds the host's procfs open, and the init can still name it.
static bool read_own(const struct stage *stage, const char *name, char *text, size_t size) {
    char path[64];
    size_t used = 0;
    ssize_t length = 0;
    snprintf(path, sizeof path, "%sself/%s", stage->proc < 0 ? "/proc/" : "", name);
    int file = openat(stage->proc < 0 ? AT_FDCWD : stage->proc, path, O_RDONLY | O_CLOEXEC);
    while (file >= 0 && used < size - 1 && (length = read(file, text + used, size - 1 - used)) > 0) used += (size_t)length;
    text[used] = 0;
    close_descriptor(&file);
    return used;
}

static uint64_t mount_of(const struct stage *stage, const char *source) {
    char name[32], text[512];
    const char *number = NULL;
    int file = open(source, O_PATH | O_CLOEXEC);
    snprintf(name, sizeof name, "fdinfo/%d", file);
    if (file >= 0 && read_own(stage, name, text, sizeof text)) number = strstr(text, "mnt_id:");
    close_descriptor(&file);
    return number ? strtoull(number + strlen("mnt_id:"), NULL, 10) : 0;
}

// ID PARENT DEVICE ROOT POINT OPTIONS ... - TYPE SOURCE SUPERBLOCK-OPTIONS
static bool next_line(char **table, struct mount_line *line) {
    char *text = strsep(table, "\n"), *rest = text && *text ? strstr(text, " - ") : NULL;
    if (!rest) return false;
    *rest = 0;
    rest += strlen(" - ");
    line->type = strsep(&rest, " ");
    line->id = strtoull(text, NULL, 10);
    for (int i = 0; i < 4; i++) strsep(&text, " ");
    line->point = strsep(&text, " ");
    line->options = strsep(&text, " ");
    return line->point && line->options;
}

// Space, tab, newline and backslash are octal there.
static void unescape(char *text) {
    char *to = text;
    for (; *text; to++) {
        bool escaped = text[0] == '\\' && text[1] && text[2] && text[3];
        *to = escaped ? (char)((text[1] - '0') * 64 + (text[2] - '0') * 8 + text[3] - '0') : *text;
        text += escaped ? 4 : 1;
    }
    *to = 0;
}

static bool is_below(const char *point, const char *directory) {
    size_t length = strlen(directory);
    while (length && directory[length - 1] == '/') length--;
    return !strncmp(point, directory, length) && point[length] == '/';
}

static bool can_map(const char *point, const struct id_mapping *mapping) {
    int tree = tree_open(AT_FDCWD, point, OPEN_TREE_CLONE);
    bool mapped = tree >= 0 && !map_tree(tree, mapping, false);
    close_descriptor(&tree);
    return mapped;
}

// Finds the mount of the source or, where that can be mapped, the one below it that can't be.
static bool find_culprit(const struct stage *stage, char *table, const char *source, const struct id_mapping *mapping,
                         bool recursive, struct mount_line *found) {
    uint64_t id = mount_of(stage, source);
    bool below = recursive && can_map(source, mapping);
    while (next_line(&table, found)) {
        unescape(found->point);
        if (below ? is_below(found->point, source) && !can_map(found->point, mapping) : found->id == id) return true;
    }
    return false;
}

static int refuse(struct stage *stage, int error, const char *what, const char *type) {
    if (error == EINVAL)
        return fail(stage, 0, "map the ids of %s: the filesystem %s can't be id-mapped by this kernel; remove the "
                    "mappings, and the options idmap and ridmap", what, type);
    if (error == EPERM)
        return fail(stage, 0, "map the ids of %s: it takes privileges over the user namespace in which the filesystem "
                    "%s was mounted", what, type);
    return fail(stage, error, "map the ids of %s, which is of the filesystem %s", what, type);
}

int refuse_to_map_new(struct stage *stage, int error, const char *type) {
    char what[64];
    snprintf(what, sizeof what, "a new %s", type);
    return refuse(stage, error, what, type);
}

int refuse_to_map_bind(struct stage *stage, int error, const char *source, const struct id_mapping *mapping,
                       bool recursive) {
    char *table = malloc(MAX_TABLE), *real = realpath(source, NULL);
    struct mount_line found;
    int result;
    if (!table || !real || !read_own(stage, "mountinfo", table, MAX_TABLE) ||
        !find_culprit(stage, table, real, mapping, recursive, &found))
        result = refuse(stage, error, source, "that it is on");
    else if (strstr(found.options, ",idmapped"))
        result = fail(stage, 0, "map the ids of %s: the mount on %s is id-mapped already", source, found.point);
    else
        result = refuse(stage, error, is_below(found.point, real) ? found.point : source, found.type);
    free(real);
    free(table);
    return result;
}
