// SPDX-License-Identifier: Apache-2.0
// tmpcopyup: a new tmpfs gets what the directory holds that it covers. The image's owner may change that directory
// meanwhile, so every name is opened once, without following a link, and looked at by its descriptor; what is made
// stands in the tmpfs, which nobody else can reach yet. The tmpfs's size is the limit for all of it.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "mounts.h"
#include "mountapi.h"

enum { MAX_DEPTH = 200, CHUNK = 1 << 16, MAX_ATTRIBUTES = 1 << 16 };  // the last: xattr(7)

// A file with several names, and the one that its copy has got first.
struct link {
    dev_t device;
    ino_t inode;
    char *path;
};

struct copying {
    int tree;
    unsigned depth;
    void *links;            // a tree of tsearch(3)
    char path[PATH_MAX];    // of what is being copied, relative to the tmpfs
};

static int copy_directory(struct copying *copying, int directory, int to);

static int compare_links(const void *first, const void *second) {
    const struct link *one = first, *other = second;
    if (one->device != other->device) return one->device < other->device ? -1 : 1;
    return one->inode == other->inode ? 0 : one->inode < other->inode ? -1 : 1;
}

static void free_link(void *link) {
    free(((struct link *)link)->path);
    free(link);
}

// Returns 1 when the name is a link now to what has been copied before, 0 when the file is still to be copied.
static int link_again(struct copying *copying, const struct stat *status, int to, const char *name) {
    struct link wanted = {.device = status->st_dev, .inode = status->st_ino};
    struct link **found = status->st_nlink > 1 ? tfind(&wanted, &copying->links, compare_links) : NULL;
    if (!found) return 0;
    return linkat(copying->tree, (*found)->path, to, name, 0) ? -1 : 1;
}

static int remember_link(struct copying *copying, const struct stat *status) {
    if (status->st_nlink < 2) return 0;
    struct link *link = calloc(1, sizeof *link);
    if (!link) return -1;
    *link = (struct link){status->st_dev, status->st_ino, strdup(copying->path)};
    if (link->path && tsearch(link, &copying->links, compare_links)) return 0;
    free_link(link);
    errno = ENOMEM;
    return -1;
}

static bool is_refused(int error) { return error == ENOTSUP || error == EPERM || error == EACCES || error == EINVAL; }

// What a tmpfs can't keep, or a user namespace's root can't set, stays behind.
static int copy_attributes(int from, int to) {
    static char names[MAX_ATTRIBUTES], value[MAX_ATTRIBUTES];
    ssize_t length = flistxattr(from, names, sizeof names);
    if (length < 0) return errno == ENOTSUP ? 0 : -1;
    for (const char *name = names; name < names + length; name += strlen(name) + 1) {
        ssize_t size = fgetxattr(from, name, value, sizeof value);
        if (size >= 0 && fsetxattr(to, name, value, (size_t)size, 0) && !is_refused(errno)) return -1;
    }
    return 0;
}

// An owner that the user namespace does not have can't be kept, nor may the file then run as somebody else.
static int copy_owner_and_mode(int to, const char *name, const struct stat *status) {
    mode_t mode = status->st_mode & 07777;
    if (fchownat(to, name, status->st_uid, status->st_gid, AT_SYMLINK_NOFOLLOW)) {
        if (errno != EINVAL) return -1;
        mode &= 01777;
    }
    return S_ISLNK(status->st_mode) ? 0 : fchmodat(to, name, mode, 0);
}

static int copy_times(int to, const char *name, const struct stat *status) {
    struct timespec times[] = {status->st_atim, status->st_mtim};
    return utimensat(to, name, times, AT_SYMLINK_NOFOLLOW);
}

static int copy_chunk(int from, int to, off_t *at, off_t end) {
    static char chunk[CHUNK];
    size_t wanted = end - *at > CHUNK ? CHUNK : (size_t)(end - *at);
    ssize_t length = pread(from, chunk, wanted, *at);
    for (ssize_t done = 0; done < length;) {
        ssize_t written = pwrite(to, chunk + done, (size_t)(length - done), *at + done);
        if (written <= 0) return -1;
        done += written;
    }
    *at += length;
    return length > 0 ? 1 : (int)length;
}

// Holes stay holes. A file that grows meanwhile is copied up to the size that it had.
static int copy_data(int from, int to, off_t size) {
    for (off_t at = 0; at < size;) {
        off_t data = lseek(from, at, SEEK_DATA);
        if (data < 0 && errno == ENXIO) break;
        if (data > at) at = data;
        off_t hole = lseek(from, at, SEEK_HOLE);
        off_t end = hole > at && hole < size ? hole : size;
        int more = 1;
        while (at < end && more > 0) more = copy_chunk(from, to, &at, end);
        if (more < 0) return -1;
        if (!more) break;
    }
    return ftruncate(to, size);
}

static int reopen(int file) {
    char place[64];
    snprintf(place, sizeof place, "/proc/self/fd/%d", file);
    return open(place, O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
}

static int copy_opened_file(int from, int to, const char *name, const struct stat *status) {
    int made = openat(to, name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    if (made < 0) return -1;
    int result = copy_data(from, made, status->st_size) || copy_owner_and_mode(to, name, status) ||
                         copy_attributes(from, made) || copy_times(to, name, status)
                     ? -1
                     : 0;
    int error = errno;
    close(made);
    errno = error;
    return result;
}

static int copy_file(int file, int to, const char *name, const struct stat *status) {
    int from = reopen(file);
    if (from < 0) return -1;
    int result = copy_opened_file(from, to, name, status);
    int error = errno;
    close(from);
    errno = error;
    return result;
}

static int copy_symlink(int link, int to, const char *name, const struct stat *status) {
    char target[PATH_MAX];
    ssize_t length = readlinkat(link, "", target, sizeof target - 1);
    if (length < 0) return -1;
    target[length] = 0;
    if (symlinkat(target, to, name)) return -1;
    return copy_owner_and_mode(to, name, status) || copy_times(to, name, status) ? -1 : 0;
}

// In a user namespace no device can be made, and none would work.
static int copy_node(int to, const char *name, const struct stat *status) {
    if (mknodat(to, name, status->st_mode & (S_IFMT | 0600), status->st_rdev)) return errno == EPERM ? 0 : -1;
    return copy_owner_and_mode(to, name, status) || copy_times(to, name, status) ? -1 : 0;
}

static int copy_subdirectory(struct copying *copying, int directory, int to, const char *name,
                             const struct stat *status) {
    if (copying->depth == MAX_DEPTH) {
        errno = ENAMETOOLONG;
        return -1;
    }
    if (mkdirat(to, name, 0700)) return -1;
    int made = openat(to, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (made < 0) return -1;
    copying->depth++;
    int result = copy_directory(copying, directory, made) || copy_owner_and_mode(to, name, status) ||
                         copy_times(to, name, status)
                     ? -1
                     : 0;
    copying->depth--;
    int error = errno;
    close(made);
    errno = error;
    return result;
}

static int copy_by_kind(struct copying *copying, int entry, int to, const char *name, const struct stat *status) {
    if (S_ISDIR(status->st_mode)) return copy_subdirectory(copying, entry, to, name, status);
    int linked = link_again(copying, status, to, name);
    if (linked) return linked < 0 ? -1 : 0;
    int result = S_ISREG(status->st_mode)   ? copy_file(entry, to, name, status)
                 : S_ISLNK(status->st_mode) ? copy_symlink(entry, to, name, status)
                                            : copy_node(to, name, status);
    return result ? -1 : remember_link(copying, status);
}

// What has gone since the directory was read is not missed.
static int copy_entry(struct copying *copying, int from, int to, const char *name) {
    struct stat status;
    int entry = openat(from, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (entry < 0) return errno == ENOENT ? 0 : -1;
    int result = fstat(entry, &status) ? -1 : copy_by_kind(copying, entry, to, name, &status);
    int error = errno;
    close(entry);
    errno = error;
    return result;
}

// In an error the path of what was being copied stays.
static int copy_named_entry(struct copying *copying, int from, int to, const char *name) {
    size_t before = strlen(copying->path);
    int length = snprintf(copying->path + before, sizeof copying->path - before, "%s%s", before ? "/" : "", name);
    if (before + (size_t)length >= sizeof copying->path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    if (copy_entry(copying, from, to, name)) return -1;
    copying->path[before] = 0;
    return 0;
}

static bool is_itself_or_parent(const char *name) { return !strcmp(name, ".") || !strcmp(name, ".."); }

static int copy_entries(struct copying *copying, DIR *entries, int to) {
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(entries);
        if (!entry) return errno ? -1 : 0;
        if (!is_itself_or_parent(entry->d_name) &&
            copy_named_entry(copying, dirfd(entries), to, entry->d_name))
            return -1;
    }
}

static int copy_directory(struct copying *copying, int directory, int to) {
    int from = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *entries = from < 0 ? NULL : fdopendir(from);
    if (!entries) {
        close_descriptor(&from);
        return -1;
    }
    int result = copy_entries(copying, entries, to) || copy_attributes(from, to) ? -1 : 0;
    int error = errno;
    closedir(entries);
    errno = error;
    return result;
}

static int copy_root(struct copying *copying, int directory, int to, bool keep_owner) {
    struct stat status;
    if (fstat(directory, &status) || copy_directory(copying, directory, to)) return -1;
    if (!keep_owner && fchown(to, status.st_uid, status.st_gid) && errno != EINVAL) return -1;
    return futimens(to, (struct timespec[]){status.st_atim, status.st_mtim});
}

// What is mounted below the directory does not belong to it.
int copy_up(struct stage *stage, int covered, int tree, const char *path, bool keep_owner) {
    static struct copying copying;
    int from = tree_open(covered, "", OPEN_TREE_CLONE);
    int to = openat(tree, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    copying = (struct copying){.tree = tree};
    int result = from < 0 || to < 0 || copy_root(&copying, from, to, keep_owner) ? -1 : 0;
    if (result) fail(stage, errno, "copy %s/%.400s into the tmpfs that covers it", path, copying.path);
    tdestroy(copying.links, free_link);
    close_descriptor(&from);
    close_descriptor(&to);
    return result;
}
