// SPDX-License-Identifier: Apache-2.0
// Under systemd the container's cgroup is that of a scope, which begins with a process: the outer stage. The init is
// born there, and the outer stage ends.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "init.h"

// pyrun has systemd make the scope, or put this process into one that is there.
int await_scope(struct stage *stage, const union argument *arguments) {
    (void)arguments;
    return report(stage, "scope") ? -1 : expect(stage->control, "go");
}

// proc(5): the line "0::PATH" is that of the only hierarchy of version 2.
static int check_own_cgroup(struct stage *stage, const char *expected) {
    char text[PATH_MAX * 2];
    if (read_small_file(stage->proc, "self/cgroup", text, sizeof text)) return fail(stage, errno, "find the own cgroup");
    char *line = strncmp(text, "0::", 3) ? strstr(text, "\n0::") : text;
    char *path = line ? strchr(line, '/') : NULL;
    if (!path) return fail(stage, ENOENT, "find the own cgroup");
    path[strcspn(path, "\n")] = 0;
    if (!strcmp(path, expected)) return 0;
    return fail(stage, 0, "systemd has put the container into cgroup %.300s, not into %.300s", path, expected);
}

// While this process is in it, it is there; controllers that systemd does not know are passed down on the way.
int use_own_cgroup(struct stage *stage, const union argument *arguments) {
    if (check_own_cgroup(stage, arguments[1].string) || make_cgroup_path(stage, arguments, true)) return -1;
    stage->entered_cgroup = true;
    return 0;
}

// As long as the outer stage and its helpers are in the container's cgroup, they count too.
int limit_at_birth(struct stage *stage, const union argument *arguments) {
    stage->birth_limit = (struct birth_limit){stage->step, arguments[0].string, arguments[1].string};
    return 0;
}

int write_limit_at_birth(struct stage *stage) {
    const struct birth_limit *limit = &stage->birth_limit;
    if (!limit->file || !write_text(stage->cgroup, limit->file, limit->value)) return 0;
    stage->step = limit->step;
    return fail(stage, errno, "write \"%.100s\" to %s", limit->value, limit->file);
}
