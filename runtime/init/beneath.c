// SPDX-License-Identifier: Apache-2.0
// Paths inside the container's root. The image's owner chooses every name and link in it, and may change them while
// we look, so a path is resolved once, by the kernel, as if the root were "/", and used by descriptor from then on.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "init.h"

enum { MAX_LINKS = 40 };

static int open_in_root(int root, const char *path, uint64_t flags, uint64_t resolve) {
    struct open_how how = {.flags = flags | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | resolve};
    long descriptor;
    // EAGAIN: something was renamed or mounted elsewhere while the kernel resolved a "..".
    for (int tries = 0; tries < 128; tries++) {
        descriptor = syscall(SYS_openat2, root, path, &how, sizeof how);
        if (descriptor >= 0 || (errno != EAGAIN && errno != EINTR)) break;
    }
    return (int)descriptor;
}

int open_beneath(const struct stage *stage, const char *path, uint64_t flags, uint64_t resolve) {
    return open_in_root(stage->root, path, flags, resolve);
}

// The missing component may be a link to something that is missing: then `path` is rewritten to lead through the
// link's target, as the kernel would have followed it.
static int expand_link(int parent, const char *name, char *path, size_t before, const char *rest) {
    char target[PATH_MAX], expanded[PATH_MAX];
    ssize_t length = readlinkat(parent, name, target, sizeof target - 1);
    if (length < 0) return -1;
    target[length] = 0;
    int kept = target[0] == '/' ? 0 : (int)before;
    int needed = snprintf(expanded, sizeof expanded, "%.*s/%s/%s", kept, path, target, rest);
    if (needed < 0 || (size_t)needed >= sizeof expanded) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(path, expanded, (size_t)needed + 1);
    return 0;
}

// Opens the directory that stands at the component `path[before..after)` below `parent`, making it when missing.
// Returns -1 with errno EAGAIN when `path` was rewritten.
static int open_or_make(int root, int parent, char *path, size_t before, size_t after, mode_t mode) {
    char prefix[PATH_MAX], name[NAME_MAX + 1];
    size_t length = after - before;
    if (length > NAME_MAX) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(prefix, path, after);
    prefix[after] = 0;
    memcpy(name, path + before, length);
    name[length] = 0;
    int child = open_in_root(root, prefix, O_PATH | O_DIRECTORY, 0);
    if (child >= 0 || errno != ENOENT) return child;
    if (!mkdirat(parent, name, mode)) return openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (errno != EEXIST) return -1;
    if (expand_link(parent, name, path, before, path + after)) return -1;
    errno = EAGAIN;
    return -1;
}

static int walk_and_make(int root, char *path, mode_t mode) {
    int parent = open_in_root(root, "/", O_PATH | O_DIRECTORY, 0);
    size_t at = 0;
    while (parent >= 0) {
        while (path[at] == '/') at++;
        if (!path[at]) return parent;
        size_t after = at + strcspn(path + at, "/");
        int child = open_or_make(root, parent, path, at, after, mode);
        int error = errno;
        close(parent);
        errno = error;
        parent = child;
        at = after;
    }
    return -1;
}

// For the walks that rewrite the path where a link has to be followed by hand.
static int copy_path(char copy[PATH_MAX], const char *path) {
    size_t length = strlen(path);
    if (length < PATH_MAX) {
        memcpy(copy, path, length + 1);
        return 0;
    }
    errno = ENAMETOOLONG;
    return -1;
}

int make_directory_beneath(const struct stage *stage, const char *path, mode_t mode) {
    int directory = open_in_root(stage->root, path, O_PATH | O_DIRECTORY, 0);
    if (directory >= 0 || errno != ENOENT) return directory;
    char copy[PATH_MAX];
    if (copy_path(copy, path)) return -1;
    for (int links = 0; links < MAX_LINKS; links++) {
        directory = walk_and_make(stage->root, copy, mode);
        if (directory >= 0 || errno != EAGAIN) return directory;
    }
    errno = ELOOP;
    return -1;
}

int make_parent_beneath(const struct stage *stage, const char *path, const char **name) {
    char parent[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t length = slash ? (size_t)(slash - path) : 0;
    *name = slash ? slash + 1 : path;
    if (length >= sizeof parent || !**name || !strcmp(*name, ".") || !strcmp(*name, "..")) {
        errno = length >= sizeof parent ? ENAMETOOLONG : EINVAL;
        return -1;
    }
    memcpy(parent, path, length);
    memcpy(parent + length, "/", 2);
    return make_directory_beneath(stage, parent, 0755);
}

// Opens or makes the file at `path`. Returns -1 with errno EAGAIN when `path` was a link and is rewritten.
static int open_or_make_file(const struct stage *stage, char *path) {
    int file = open_in_root(stage->root, path, O_PATH, 0);
    if (file >= 0 || errno != ENOENT) return file;
    const char *name;
    int parent = make_parent_beneath(stage, path, &name);
    if (parent < 0) return -1;
    int made = openat(parent, name, O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC | O_WRONLY, 0644);
    if (made >= 0) {
        file = openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        close(made);
    } else if (errno == EEXIST && !expand_link(parent, name, path, (size_t)(name - path), "")) {
        for (size_t end = strlen(path); end > 1 && path[end - 1] == '/'; end--) path[end - 1] = 0;
        errno = EAGAIN;
    }
    int error = errno;
    close(parent);
    errno = error;
    return file;
}

int make_file_beneath(const struct stage *stage, const char *path) {
    char copy[PATH_MAX];
    if (copy_path(copy, path)) return -1;
    for (int links = 0; links < MAX_LINKS; links++) {
        int file = open_or_make_file(stage, copy);
        if (file >= 0 || errno != EAGAIN) return file;
    }
    errno = ELOOP;
    return -1;
}
