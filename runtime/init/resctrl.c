// SPDX-License-Identifier: Apache-2.0
// Intel RDT and its like: groups of the resctrl file system (Documentation/filesystems/resctrl.rst). What the outer
// stage is in, its clones are in. All are changed under the lock of the file system, as that document wants it.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "init.h"

// Flags of make_resctrl_group, as pyrun/plan/resctrl.py gives them.
enum { MAY_MAKE = 1, MUST_AGREE = 2, MUST_MAKE = 4 };
enum { LONGEST_SCHEMATA = 1 << 16 };

static int refuse(struct stage *stage, int root, const char *what, const char *name) {
    int error = errno;
    char reason[256];
    if (read_small_file(root, "info/last_cmd_status", reason, sizeof reason)) *reason = 0;
    reason[strcspn(reason, "\n")] = 0;
    bool known = *reason && strcmp(reason, "ok") != 0;
    return fail(stage, error, "%s %s%s%s%s", what, name, known ? " (" : "", known ? reason : "", known ? ")" : "");
}

// What stands behind "RESOURCE:" in schemata, whose lines are indented; NULL where there is no such line.
static const char *find_line(const char *text, const char *resource, size_t length) {
    while (*text) {
        text += strspn(text, " \n");
        if (!strncmp(text, resource, length) && text[length] == ':') return text + length + 1;
        text += strcspn(text, "\n");
    }
    return NULL;
}

// One ID=VALUE of a line. Values are masks in hexadecimal; equal decimal numbers look equal so, too.
static const char *read_value(const char *line, unsigned long *id, unsigned long long *value) {
    char *end;
    *id = strtoul(line, &end, 10);
    if (end == line || *end != '=') return NULL;
    line = end + 1;
    *value = strtoull(line, &end, 16);
    return end == line ? NULL : end + (*end == ';');
}

static bool has_value(const char *line, unsigned long wanted_id, unsigned long long wanted) {
    unsigned long id;
    unsigned long long value;
    while ((line = read_value(line, &id, &value)))
        if (id == wanted_id) return value == wanted;
    return false;
}

// Whether all that `wanted`, lines of schemata, asks for is in force.
static bool agrees(const char *schemata, const char *wanted) {
    while (*wanted) {
        size_t name = strcspn(wanted, ":\n");
        const char *line = wanted[name] == ':' ? find_line(schemata, wanted, name) : NULL;
        if (!line) return false;
        for (wanted += name + 1; *wanted && *wanted != '\n';) {
            unsigned long id;
            unsigned long long value;
            wanted = read_value(wanted, &id, &value);
            if (!wanted || !has_value(line, id, value)) return false;
        }
        wanted += *wanted == '\n';
    }
    return true;
}

static int check_schemata(struct stage *stage, int group, struct list wanted) {
    static char text[LONGEST_SCHEMATA];
    if (read_small_file(group, "schemata", text, sizeof text)) return fail(stage, errno, "read the group's schemata");
    while (wanted.count) {
        const char *lines = list_next_string(&wanted);
        if (!agrees(text, lines))
            return fail(stage, 0, "the group exists, and its schemata are not \"%.*s\"", (int)strcspn(lines, "\n"), lines);
    }
    return 0;
}

// Where there is no name, the group is the whole file system: the default one.
static int open_group(struct stage *stage, int root, const char *name, uint64_t flags, bool *existed) {
    bool may_make = flags & MAY_MAKE && *name;
    *existed = !may_make || mkdirat(root, name, 0755);
    if (*existed && may_make && (errno != EEXIST || flags & MUST_MAKE)) return refuse(stage, root, "make the resctrl group", name);
    int group = openat(root, *name ? name : ".", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return group < 0 ? fail(stage, errno, "open the resctrl group %s", name) : group;
}

static int write_schemata(struct stage *stage, int root, int group, struct list written) {
    while (written.count)
        if (write_text(group, "schemata", list_next_string(&written)))
            return refuse(stage, root, "write the", "schemata");
    return 0;
}

static int make_monitor(struct stage *stage, int root, int group, const char *name) {
    int monitors = openat(group, "mon_groups", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (monitors < 0) return fail(stage, errno, "open mon_groups of the resctrl group");
    int result = mkdirat(monitors, name, 0755) ? refuse(stage, root, "make the monitoring group", name) : 0;
    close(monitors);
    return result;
}

static int furnish(struct stage *stage, int root, int group, bool compared, const union argument *arguments) {
    const char *monitor = arguments[5].string;
    if (compared && check_schemata(stage, group, arguments[3].strings)) return -1;
    if (write_schemata(stage, root, group, arguments[3].strings)) return -1;
    if (write_schemata(stage, root, group, arguments[4].strings)) return -1;
    return *monitor ? make_monitor(stage, root, group, monitor) : 0;
}

int make_resctrl_group(struct stage *stage, const union argument *arguments) {
    const char *mount = arguments[0].string;
    uint64_t flags = arguments[2].number;
    bool existed = true;
    int root = open(mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root < 0) return fail(stage, errno, "open %s", mount);
    int result = flock(root, LOCK_EX) ? fail(stage, errno, "lock %s", mount) : 0;
    int group = result ? -1 : open_group(stage, root, arguments[1].string, flags, &existed);
    if (group < 0) result = -1;
    else result = furnish(stage, root, group, existed && flags & MUST_AGREE, arguments);
    close_descriptor(&group);
    close(root);
    return result;
}

int join_resctrl_groups(struct stage *stage, const union argument *arguments) {
    char process[16];
    snprintf(process, sizeof process, "%d", getpid());
    // A monitoring group takes only what is in the group that it belongs to already, so the order counts.
    for (struct list groups = arguments[0].strings; groups.count;) {
        const char *path = list_next_string(&groups);
        int group = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (group < 0) return fail(stage, errno, "open %s", path);
        int error = write_text(group, "tasks", process) ? errno : 0;
        close(group);
        if (error) return fail(stage, error, "enter %s", path);
    }
    return 0;
}
