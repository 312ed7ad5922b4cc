// SPDX-License-Identifier: Apache-2.0
// Parameters of filesystems: words as in the options of mount(8), "key" or "key=value".
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "mounts.h"
#include "mountapi.h"

enum { MAX_PARAMETER = 255 };

int set_parameter(int context, const char *parameter) {
    char key[MAX_PARAMETER + 1];
    const char *value = strchr(parameter, '=');
    if (!value) return fs_config(context, FSCONFIG_SET_FLAG, parameter, NULL);
    size_t length = (size_t)(value - parameter);
    if (length > MAX_PARAMETER) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(key, parameter, length);
    key[length] = 0;
    return fs_config(context, FSCONFIG_SET_STRING, key, value + 1);
}

int set_parameters(int context, struct list parameters) {
    while (parameters.count)
        if (set_parameter(context, list_next_string(&parameters))) return -1;
    return 0;
}

bool fit_fsconfig(struct list parameters) {
    while (parameters.count) {
        const char *value = strchr(list_next_string(&parameters), '=');
        if (value && strlen(value + 1) > MAX_PARAMETER) return false;
    }
    return true;
}

// The kernel's own words for what it did not like, such as "e tmpfs: Bad value for 'size'".
int fail_by_context(struct stage *stage, int context, int error, const char *what, const char *path) {
    char words[256];
    ssize_t length = read(context, words, sizeof words - 1);
    words[length > 0 ? length : 0] = 0;
    words[strcspn(words, "\n")] = 0;
    const char *text = length > 2 ? words + 2 : words;
    return fail(stage, error, "%s on %s%s%s", what, path, *text ? ": " : "", text);
}

struct superblock_flag {
    const char *name;
    unsigned long set, clear;
};

static const struct superblock_flag *find_superblock_flag(const char *parameter) {
    static const struct superblock_flag flags[] = {
        {"ro", MS_RDONLY, 0},         {"rw", 0, MS_RDONLY},        {"sync", MS_SYNCHRONOUS, 0},
        {"async", 0, MS_SYNCHRONOUS}, {"dirsync", MS_DIRSYNC, 0},  {"mand", MS_MANDLOCK, 0},
        {"nomand", 0, MS_MANDLOCK},   {"lazytime", MS_LAZYTIME, 0}, {"nolazytime", 0, MS_LAZYTIME},
    };
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (!strcmp(parameter, flags[i].name)) return &flags[i];
    return NULL;
}

unsigned long superblock_flags(struct list parameters, unsigned long flags) {
    while (parameters.count) {
        const struct superblock_flag *found = find_superblock_flag(list_next_string(&parameters));
        if (found) flags = (flags & ~found->clear) | found->set;
    }
    return flags;
}

static size_t append(char *data, size_t used, const char *format, const char *first, const char *second) {
    int length = used > MAX_DATA ? 0 : snprintf(data + used, MAX_DATA + 1 - used, format, first, second);
    return used + (size_t)length;
}

// Only the labels of security modules have commas in them, and only there mount(2) understands quotes.
int join_parameters(char data[MAX_DATA + 1], struct list parameters) {
    size_t used = strlen(data);
    while (parameters.count) {
        char key[MAX_PARAMETER + 1];
        const char *parameter = list_next_string(&parameters);
        const char *value = strchr(parameter, '=');
        if (find_superblock_flag(parameter)) continue;
        if (used) used = append(data, used, "%s%s", ",", "");
        if (!value || !strchr(value, ',') || value - parameter > MAX_PARAMETER) {
            used = append(data, used, "%s%s", parameter, "");
        } else {
            snprintf(key, sizeof key, "%.*s", (int)(value - parameter), parameter);
            used = append(data, used, "%s=\"%s\"", key, value + 1);
        }
    }
    if (used <= MAX_DATA) return 0;
    errno = E2BIG;
    return -1;
}
