// SPDX-License-Identifier: Apache-2.0
// Sources of bind mounts that the root of a user namespace may not be able to reach: the outer stage opens them with
// the host's privileges, but in the container's mount namespace, where the kernel has locked the host's mount flags.
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
    return tree < 0 ? fail(stage, errno, "bind source %s", path) : tree;
}

int open_bind_source(struct stage *stage, const union argument *arguments) {
    if (stage->bind_source_count == MAX_BIND_SOURCES)
        return fail(stage, E2BIG, "more than %d bind mounts", MAX_BIND_SOURCES);
    stage->bind_sources[stage->bind_source_count++] = (struct bind_source){
        .step = stage->step, .path = arguments[0].string, .recursive = arguments[1].number != 0, .tree = -1};
    return 0;
}

static int open_all(struct stage *stage) {
    struct step clone = stage->step;
    for (unsigned i = 0; i < stage->bind_source_count; i++) {
        struct bind_source *source = &stage->bind_sources[i];
        stage->step = source->step;  // the one that an error is about
        source->tree = clone_bind_source(stage, source->path, source->recursive);
        if (source->tree < 0) return -1;
    }
    stage->step = clone;
    return 0;
}

int send_bind_sources(struct stage *stage, int socket, int pidfd) {
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
