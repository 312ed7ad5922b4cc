// SPDX-License-Identifier: Apache-2.0
// Id mappings of mounts (mount_setattr(2), MOUNT_ATTR_IDMAP): the kernel takes one as a user namespace. Nobody needs to
// be in it, so the outer stage makes it with a child that ends as soon as the namespace is held open.
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "mappings.h"
#include "mountapi.h"

static const uint64_t RECURSIVE_MAPPING = 1ULL << 63;

static int write_map_of(struct stage *stage, const struct helper *helper, const char *name, const char *extents) {
    int file = open_of_helper(stage, helper, name, O_WRONLY);
    size_t length = strlen(extents);
    bool written = file >= 0 && write(file, extents, length) == (ssize_t)length;
    bool too_long = errno == EINVAL && length >= (size_t)sysconf(_SC_PAGESIZE);
    int result = written ? 0 : fail(stage, errno, "write the %s of a mount%s", name, too_long ? ", longer than a page" : "");
    close_descriptor(&file);
    return result;
}

static int make_namespace(struct stage *stage, struct helper *helper, const char *uid_map, const char *gid_map) {
    if (start_helper(helper, CLONE_NEWUSER, NULL, NULL))
        return fail(stage, errno, "make a user namespace for the mapping of a mount");
    if (!write_map_of(stage, helper, "gid_map", gid_map) && !write_map_of(stage, helper, "uid_map", uid_map)) return 0;
    end_helper(helper);
    return -1;
}

static int join_user_namespace(const void *namespace) { return setns(*(const int *)namespace, CLONE_NEWUSER); }

static int join_namespace(struct stage *stage, struct helper *helper, const char *path) {
    int namespace = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (namespace < 0) return fail(stage, errno, "open %s", path);
    int result = start_helper(helper, 0, join_user_namespace, &namespace)
                     ? fail(stage, errno, "take the mapping of a mount from the user namespace %s", path)
                     : 0;
    close(namespace);
    return result;
}

// Each line of a map: first id inside, first id outside, how many.
static int read_root(const struct stage *stage, const struct helper *helper, const char *name, unsigned *root) {
    char text[4096], *rest = text;
    int file = open_of_helper(stage, helper, name, O_RDONLY);
    ssize_t length = file < 0 ? -1 : read(file, text, sizeof text - 1);
    close_descriptor(&file);
    if (length == 0) errno = ENODATA;
    if (length <= 0) return -1;
    text[length] = 0;
    for (bool first = true, found = false; *rest && !found; first = false) {
        found = strtoul(rest, &rest, 10) == 0;
        unsigned outside = (unsigned)strtoul(rest, &rest, 10);
        if (first || found) *root = outside;
        rest += strcspn(rest, "\n");
        rest += strspn(rest, "\n");
    }
    return 0;
}

int open_id_mapping(struct stage *stage, const union argument *arguments) {
    const char *path = arguments[2].string;
    struct helper helper;
    if (stage->id_mapping_count == MAX_ID_MAPPINGS)
        return fail(stage, E2BIG, "more than %d different mappings of mounts", MAX_ID_MAPPINGS);
    struct id_mapping *mapping = &stage->id_mappings[stage->id_mapping_count];
    if (*path ? join_namespace(stage, &helper, path)
              : make_namespace(stage, &helper, arguments[0].string, arguments[1].string))
        return -1;
    mapping->namespace = open_of_helper(stage, &helper, "ns/user", O_RDONLY);
    bool done = mapping->namespace >= 0 && !read_root(stage, &helper, "uid_map", &mapping->user) &&
                !read_root(stage, &helper, "gid_map", &mapping->group);
    int error = errno;
    end_helper(&helper);
    if (!done) return fail(stage, error, "open the user namespace with the mapping of a mount");
    stage->id_mapping_count++;
    return 0;
}

const struct id_mapping *find_mapping(struct stage *stage, uint64_t mapping) {
    uint64_t index = mapping & ~RECURSIVE_MAPPING;
    if (index < stage->id_mapping_count) return &stage->id_mappings[index];
    fail(stage, EINVAL, "mapping %llu of a mount", (unsigned long long)index);
    return NULL;
}

int map_tree(int tree, const struct id_mapping *mapping, bool recursive) {
    struct mount_attr attributes = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (unsigned)mapping->namespace};
    unsigned flags = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);
    return (int)syscall(SYS_mount_setattr, tree, "", flags, &attributes, sizeof attributes);
}

int map_mount(struct stage *stage, int tree, uint64_t mapping, const char *type, const char *source) {
    const struct id_mapping *found = find_mapping(stage, mapping);
    bool recursive = mapping & RECURSIVE_MAPPING;
    if (!found) return -1;
    if (!map_tree(tree, found, recursive)) return 0;
    return type ? refuse_to_map_new(stage, errno, type) : refuse_to_map_bind(stage, errno, source, found, recursive);
}
