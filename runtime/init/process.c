// SPDX-License-Identifier: Apache-2.0
// Attributes of the container's process that have nothing to do with privileges.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/keyctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "init.h"

// In the outer stage, whose /proc the container can't have touched; a clone inherits the value.
int set_oom_score_adj(struct stage *stage, const union argument *arguments) {
    const char *value = arguments[0].string;
    // The kernel gives the file to the host's root unless the process is dumpable; nobody but the user may trace it
    // meanwhile.
    if (geteuid() != 0) prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    int error = write_text(AT_FDCWD, "/proc/self/oom_score_adj", value) ? errno : 0;
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    return error ? fail(stage, error, "set oom_score_adj to %s", value) : 0;
}

// In the outer stage: only the host's CAP_SYS_RESOURCE raises a hard limit, and a user namespace's is another.
int raise_resource_limit(struct stage *stage, const union argument *arguments) {
    int resource = (int)arguments[0].number;
    struct rlimit limit;
    if (getrlimit(resource, &limit)) return fail(stage, errno, "read resource limit %d", resource);
    if (limit.rlim_max >= arguments[1].number) return 0;
    limit.rlim_max = arguments[1].number;
    return setrlimit(resource, &limit) ? fail(stage, errno, "raise resource limit %d", resource) : 0;
}

int set_resource_limit(struct stage *stage, const union argument *arguments) {
    int resource = (int)arguments[0].number;
    struct rlimit limit = {.rlim_cur = arguments[1].number, .rlim_max = arguments[2].number};
    return setrlimit(resource, &limit) ? fail(stage, errno, "set resource limit %d", resource) : 0;
}

int new_session(struct stage *stage, const union argument *arguments) {
    (void)arguments;
    return setsid() < 0 ? fail(stage, errno, "start a session") : 0;
}

int join_session_keyring(struct stage *stage, const union argument *arguments) {
    enum { POSSESSOR_ALL = 0x3f000000, USER_SEARCH = 0x00080000 };
    long keyring = syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, arguments[0].string);
    if (keyring < 0) return errno == ENOSYS ? 0 : fail(stage, errno, "join the session keyring");
    // Searchable by its user, so that a later `exec` can join it; the user's other containers do not get to see its name.
    syscall(SYS_keyctl, KEYCTL_SETPERM, keyring, POSSESSOR_ALL | USER_SEARCH);
    return 0;
}

// A file that is only read was there before the container, and so were devices; they stay their owner's.
static bool is_for_the_program(int descriptor, const struct stat *status) {
    switch (status->st_mode & S_IFMT) {
        case S_IFREG: return (fcntl(descriptor, F_GETFL) & O_ACCMODE) != O_RDONLY;
        case S_IFCHR: return isatty(descriptor);
        case S_IFIFO:
        case S_IFSOCK: return true;
        default: return false;
    }
}

// A program that drops to its user opens /dev/stdout anew, which asks for permission on what lies behind it.
int own_stdio(struct stage *stage, const union argument *arguments) {
    uid_t user = (uid_t)arguments[0].number;
    for (int descriptor = STDIN_FILENO; descriptor <= STDERR_FILENO; descriptor++) {
        struct stat status;
        if (fstat(descriptor, &status) || status.st_uid == user) continue;
        if (!is_for_the_program(descriptor, &status)) continue;
        if (fchown(descriptor, user, (gid_t)-1) && errno != EINVAL && errno != EPERM && errno != EROFS)
            return fail(stage, errno, "give descriptor %d to user %u", descriptor, user);
    }
    return 0;
}

// The host's /dev/null is another inode than the container's, and leads to the host's file system.
int reopen_null(struct stage *stage, const union argument *arguments) {
    (void)arguments;
    int null = -1;
    for (int descriptor = STDIN_FILENO; descriptor <= STDERR_FILENO; descriptor++) {
        if (!is_null_device(descriptor)) continue;
        if (null < 0) null = open_beneath(stage, "/dev/null", O_RDWR | O_NOFOLLOW | O_NOCTTY, 0);
        if (null < 0 && errno != ENOENT) return fail(stage, errno, "open the container's /dev/null");
        if (null < 0 || !is_null_device(null)) break;
        if (dup3(null, descriptor, 0) < 0) return fail(stage, errno, "reopen descriptor %d", descriptor);
    }
    close_descriptor(&null);
    return 0;
}

int set_umask(struct stage *stage, const union argument *arguments) {
    (void)stage;
    umask((mode_t)arguments[0].number);
    return 0;
}

int set_personality(struct stage *stage, const union argument *arguments) {
    return personality(arguments[0].number) < 0 ? fail(stage, errno, "set the personality") : 0;
}

// Stands twice in a plan: as root, and, where root is refused (a network file system), as the process's user.
int change_directory(struct stage *stage, const union argument *arguments) {
    const char *path = arguments[0].string;
    char seen[PATH_MAX];
    if (stage->in_directory) return 0;
    if (chdir(path)) {
        bool again = errno == EACCES && !stage->refused_directory;
        stage->refused_directory = true;
        return again ? 0 : fail(stage, errno, "chdir to cwd (\"%s\")", path);
    }
    // CVE-2024-21626: a path through a descriptor of the host leads out of the root; the kernel then says so.
    if (syscall(SYS_getcwd, seen, sizeof seen) < 0 || seen[0] != '/')
        return fail(stage, EPERM, "chdir to cwd (\"%s\"): it is outside the container's root", path);
    stage->in_directory = true;
    return 0;
}
