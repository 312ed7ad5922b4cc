// SPDX-License-Identifier: Apache-2.0
// Sources of bind mounts that the root of a user namespace may not be able to reach, or to map the ids of: the outer
// stage opens them with the host's privileges, but in the container's mount namespace, where the kernel has locked the
// host's mount flags.
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "init.h"
#include "mountapi.h"

union control {
    struct cmsghdr header;
    char space[CMSG_SPACE(MAX_BIND_SOURCES * sizeof(int))];
};

int clone_bind_source(struct stage *stage, const char *path, bool recursive) {
    int tree = tree_open(AT_FDCWD, path, OPEN_TREE_CLONE | (recursive ? AT_RECURSIVE : 0));
    if (tree >= 0) return tree;
    // In a user namespace nobody gets to see what is covered (mount_namespaces(7)).
    const char *remedy = errno == EINVAL && !recursive ? ": something is mounted below it; use rbind" : "";
    return fail(stage, errno, "bind source %s%s", path, remedy);
}

static int open_source(struct stage *stage, const struct bind_source *source) {
    if (source->filesystem) return make_filesystem(stage, source->filesystem);
    int tree = clone_bind_source(stage, source->path, source->recursive);
    if (tree < 0 || source->mapping == NO_MAPPING || !map_mount(stage, tree, source->mapping, NULL, source->path))
        return tree;
    close(tree);
    return -1;
}

int add_source(struct stage *stage, struct bind_source source) {
    if (stage->bind_source_count == MAX_BIND_SOURCES)
        return fail(stage, E2BIG, "more than %d bind mounts", MAX_BIND_SOURCES);
    source.step = stage->step;
    source.tree = -1;
    stage->bind_sources[stage->bind_source_count++] = source;
    return 0;
}

int open_bind_source(struct stage *stage, const union argument *arguments) {
    return add_source(stage, (struct bind_source){.path = arguments[0].string, .recursive = arguments[1].number != 0,
                                                  .mapping = arguments[2].number});
}

int take_source(struct stage *stage, uint64_t slot) {
    if (slot >= stage->bind_source_count) return fail(stage, EINVAL, "source %llu", (unsigned long long)slot);
    int tree = stage->bind_sources[slot].tree;
    stage->bind_sources[slot].tree = -1;
    return tree;
}

static int open_all(struct stage *stage) {
    struct step step = stage->step;
    for (unsigned i = 0; i < stage->bind_source_count; i++) {
        struct bind_source *source = &stage->bind_sources[i];
        stage->step = source->step;  // the one that an error is about
        source->tree = open_source(stage, source);
        if (source->tree < 0) return -1;
    }
    stage->step = step;
    return 0;
}

// A mount namespace that belongs to the user namespace which is joined: a copy of the host's, with its flags locked.
static int enter_locked_copy(const void *namespace) {
    return setns(*(const int *)namespace, CLONE_NEWUSER) || unshare(CLONE_NEWNS) ? -1 : 0;
}

static int open_locked_copy(struct stage *stage) {
    struct helper helper;
    int user = find_namespace(stage, CLONE_NEWUSER);
    if (start_helper(&helper, 0, enter_locked_copy, &user))
        return fail(stage, errno, "make a mount namespace in the user namespace");
    int copy = open_of_helper(stage, &helper, "ns/mnt", O_RDONLY);
    int error = errno;
    end_helper(&helper);
    return copy < 0 ? fail(stage, error, "open the mount namespace in the user namespace") : copy;
}

// setns(2) moves the root as well, which may be another than the namespace's.
static int return_to(int namespace, int root) {
    return setns(namespace, CLONE_NEWNS) || fchdir(root) || chroot(".") ? -1 : 0;
}

// Who joins a user namespace loses the host's privileges before there is an init whose mount namespace could be used.
int open_bind_sources_early(struct stage *stage, const union argument *arguments) {
    (void)arguments;
    int joined = find_namespace(stage, CLONE_NEWNS);
    int own = openat(stage->proc, "self/ns/mnt", O_RDONLY | O_CLOEXEC);
    int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    int other = joined < 0 ? open_locked_copy(stage) : joined;
    if (other < 0) return -1;
    if (own < 0 || root < 0 || setns(other, CLONE_NEWNS))
        return fail(stage, errno, "enter the mount namespace of the sources");
    if (open_all(stage)) return -1;
    if (return_to(own, root)) return fail(stage, errno, "return to the host's mount namespace");
    if (joined < 0) close(other);
    close(own);
    close(root);
    stage->opened_early = true;
    return 0;
}

int send_bind_sources(struct stage *stage, int socket, int pidfd) {
    if (!stage->bind_source_count || stage->opened_early) return 0;
    union control control = {0};
    socklen_t size = stage->bind_source_count * (socklen_t)sizeof(int);
    char byte = 0;
    struct iovec data = {&byte, 1};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = &control,
                             .msg_controllen = (socklen_t)CMSG_SPACE(size)};
    // An ordinary user has privileges over the mounts only inside, and reaches there the same files as outside.
    int namespaces = stage->opened_to_user ? CLONE_NEWUSER | CLONE_NEWNS : CLONE_NEWNS;
    if (setns(pidfd, namespaces)) return fail(stage, errno, "enter the container's mount namespace");
    if (open_all(stage)) return -1;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    *header = (struct cmsghdr){.cmsg_len = (socklen_t)CMSG_LEN(size), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    for (unsigned i = 0; i < stage->bind_source_count; i++)
        memcpy(CMSG_DATA(header) + i * sizeof(int), &stage->bind_sources[i].tree, sizeof(int));
    return sendmsg(socket, &message, MSG_NOSIGNAL) < 0 ? fail(stage, errno, "hand over the bind sources") : 0;
}

int receive_bind_sources(struct stage *stage, int socket) {
    if (!stage->bind_source_count || stage->opened_early) return 0;
    union control control = {0};
    char byte;
    struct iovec data = {&byte, 1};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = &control,
                             .msg_controllen = sizeof control};
    ssize_t length = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    struct cmsghdr *header = length > 0 ? CMSG_FIRSTHDR(&message) : NULL;
    if (!header || header->cmsg_len != CMSG_LEN(stage->bind_source_count * sizeof(int)))
        return fail(stage, length < 0 ? errno : EIO, "take over the bind sources");
    for (unsigned i = 0; i < stage->bind_source_count; i++)
        memcpy(&stage->bind_sources[i].tree, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
    return 0;
}
