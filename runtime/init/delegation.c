// SPDX-License-Identifier: Apache-2.0
// The container's cgroup is given to the user that its program runs as (cgroups(7), "Delegating a hierarchy"): the
// directory, and of its files those with which nobody can raise what the cgroup itself is limited to.
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "init.h"

static const char DELEGATE[] = "/sys/kernel/cgroup/delegate";
// runtime-spec, config-linux.md, "Cgroup ownership": where the kernel has no list.
static const char WITHOUT_LIST[] = "cgroup.procs\ncgroup.subtree_control\ncgroup.threads\n";

struct joined_user {
    int namespace;
    uid_t user;
};

static int become_joined_user(const void *about) {
    const struct joined_user *joined = about;
    if (setns(joined->namespace, CLONE_NEWUSER)) return -1;
    return setresuid(joined->user, joined->user, joined->user);
}

static int read_user(const struct stage *stage, const struct helper *helper, uid_t *user) {
    char text[4096];
    int file = open_of_helper(stage, helper, "status", O_RDONLY);
    ssize_t length = file < 0 ? -1 : read(file, text, sizeof text - 1);
    close_descriptor(&file);
    text[length > 0 ? length : 0] = 0;
    const char *line = strstr(text, "\nUid:");
    if (!line) return -1;
    *user = (uid_t)strtoul(line + strlen("\nUid:"), NULL, 10);
    return 0;
}

// What a user of another user namespace is here: a process that is that user there shows it.
static int find_user(struct stage *stage, const char *path, uid_t *user) {
    struct joined_user joined = {.namespace = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), .user = *user};
    struct helper helper;
    if (joined.namespace < 0) return fail(stage, errno, "open %s", path);
    int result = 0;
    if (start_helper(&helper, 0, become_joined_user, &joined)) {
        result = fail(stage, errno, "become user %u in the user namespace %s", *user, path);
    } else {
        if (read_user(stage, &helper, user)) result = fail(stage, EIO, "find user %u of %s", *user, path);
        end_helper(&helper);
    }
    close(joined.namespace);
    return result;
}

int delegate_cgroup(struct stage *stage, const union argument *arguments) {
    uid_t user = (uid_t)arguments[0].number;
    const char *path = arguments[1].string;
    char list[4096];
    if (*path && find_user(stage, path, &user)) return -1;
    if (fchownat(stage->cgroup, "", user, (gid_t)-1, AT_EMPTY_PATH))
        return fail(stage, errno, "give the cgroup to user %u", user);
    if (read_small_file(AT_FDCWD, DELEGATE, list, sizeof list)) memcpy(list, WITHOUT_LIST, sizeof WITHOUT_LIST);
    for (char *rest = list, *name; (name = strsep(&rest, "\n"));)
        // A cgroup has only the files of its controllers.
        if (*name && fchownat(stage->cgroup, name, user, (gid_t)-1, AT_SYMLINK_NOFOLLOW) && errno != ENOENT)
            return fail(stage, errno, "give %s of the cgroup to user %u", name, user);
    return 0;
}
