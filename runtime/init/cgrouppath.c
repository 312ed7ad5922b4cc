// SPDX-License-Identifier: Apache-2.0
// The careful way to the container's cgroup, name by name from the mount: what is missing is made, controllers are passed
// down, and what others remove meanwhile is made again.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "init.h"

// Each takes another pyrun that removes, at the same moment, the last container below one of the cgroups.
enum { MOST_ATTEMPTS = 1000 };

// Where the walk has come to: the cgroup, the rest of the path, and whether the cgroup was there before.
struct walk {
    int cgroup;
    const char *rest;
    bool existed;
};

bool is_cgroup2(int directory) {
    struct statfs status;
    return !fstatfs(directory, &status) && status.f_type == CGROUP2_SUPER_MAGIC;
}

// Of several containers that share it the first has it made and the last has it removed: see container/delete.py.
static void mark_as_made(int cgroup) { (void)!fsetxattr(cgroup, "user.pyrun.made", "1", 1, 0); }

static int enter_component(struct walk *walk, const char *name, bool last) {
    struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS};
    walk->existed = mkdirat(walk->cgroup, name, 0755) != 0;
    if (walk->existed && errno != EEXIST) return errno;
    int child = (int)syscall(SYS_openat2, walk->cgroup, name, &how, sizeof how);
    if (child < 0) return errno;
    if (!walk->existed && !last) mark_as_made(child);
    close(walk->cgroup);
    walk->cgroup = child;
    return 0;
}

// Returns 0 or an error number.
static int walk_down(struct walk *walk, struct list controllers) {
    for (walk->rest += strspn(walk->rest, "/"); *walk->rest;) {
        char name[NAME_MAX + 1] = {0};
        size_t length = strcspn(walk->rest, "/");
        const char *next = walk->rest + length + strspn(walk->rest + length, "/");
        if (length > NAME_MAX) return ENAMETOOLONG;
        memcpy(name, walk->rest, length);
        int error = pass_down_controllers(walk->cgroup, controllers);
        if (!error) error = enter_component(walk, name, !*next);
        if (error) return error;
        walk->rest = next;
    }
    return 0;
}

static int open_cgroup_mount(struct stage *stage, const char *mount) {
    int directory = openat(AT_FDCWD, mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0) return fail(stage, errno, "open %s", mount);
    if (is_cgroup2(directory)) return directory;
    close(directory);
    return fail(stage, ENOTSUP, "%s is not a cgroup2 mount", mount);
}

static int fail_to_make(struct stage *stage, int error, const char *path, const struct walk *walk) {
    size_t parent = (size_t)(walk->rest - path), length = strcspn(walk->rest, "/");
    return fail(stage, error, "make cgroup %.*s", parent + length > PATH_MAX ? PATH_MAX : (int)(parent + length), path);
}

int make_cgroup_path(struct stage *stage, const union argument *arguments, bool made) {
    const char *mount = arguments[0].string, *path = arguments[1].string;
    for (int attempt = 1;; attempt++) {
        struct walk walk = {.cgroup = open_cgroup_mount(stage, mount), .rest = path};
        if (walk.cgroup < 0) return -1;
        int error = walk_down(&walk, arguments[2].strings);
        if (!error) {
            stage->cgroup = walk.cgroup;
            stage->cgroup_existed = walk.existed && !made;
            return check_cgroup(stage, path);
        }
        close(walk.cgroup);
        if ((error != ENOENT && error != ENODEV) || attempt == MOST_ATTEMPTS)
            return fail_to_make(stage, error, path, &walk);
    }
}
