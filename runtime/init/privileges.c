// SPDX-License-Identifier: Apache-2.0
// The descent from root: ids and no_new_privs.
#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "init.h"

int set_no_new_privileges(struct stage *stage, const union argument *arguments) {
    (void)arguments;
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ? fail(stage, errno, "set no_new_privs") : 0;
}

static int set_groups(struct list numbers) {
    gid_t *groups = calloc(numbers.count + 1, sizeof *groups);
    size_t count = 0;
    if (!groups) return -1;
    while (numbers.count) groups[count++] = (gid_t)list_next_number(&numbers);
    int result = setgroups(count, groups);
    free(groups);
    return result;
}

int set_identity(struct stage *stage, const union argument *arguments) {
    uid_t user = (uid_t)arguments[0].number;
    gid_t group = (gid_t)arguments[1].number;
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0)) return fail(stage, errno, "keep capabilities");
    // A joined user namespace may deny setgroups(2); then nobody could have given it groups either.
    bool none = arguments[2].numbers.count == 0;
    if (set_groups(arguments[2].numbers) && !(none && errno == EPERM)) return fail(stage, errno, "set the additional groups");
    if (setresgid(group, group, group)) return fail(stage, errno, "become group %u", group);
    if (setresuid(user, user, user)) return fail(stage, errno, "become user %u", user);
    // A change of ids makes the process as dumpable as fs.suid_dumpable says.
    prctl(PR_SET_DUMPABLE, stage->opened_to_user, 0, 0, 0);
    return prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) ? fail(stage, errno, "stop keeping capabilities") : 0;
}
