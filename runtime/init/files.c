// SPDX-License-Identifier: Apache-2.0
// Small files and descriptors.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "init.h"

int read_small_file(int directory, const char *path, char *text, size_t size) {
    int file = openat(directory, path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return -1;
    ssize_t length = read(file, text, size - 1);
    close(file);
    if (length < 0) return -1;
    text[length] = 0;
    return 0;
}

int write_text(int directory, const char *path, const char *text) {
    int file = openat(directory, path, O_WRONLY | O_CLOEXEC);
    if (file < 0) return -1;
    size_t length = strlen(text);
    ssize_t written = write(file, text, length);
    int error = written < 0 ? errno : EIO;
    close(file);
    if (written == (ssize_t)length) return 0;
    errno = error;
    return -1;
}

void close_descriptor(int *descriptor) {
    if (*descriptor >= 0) close(*descriptor);
    *descriptor = -1;
}

static bool close_between(int first, int last) {
    return first > last || !syscall(SYS_close_range, (unsigned)first, (unsigned)last, 0);
}

static int lowest_from(int from, const int *descriptors, size_t count) {
    int lowest = INT_MAX;
    for (size_t i = 0; i < count; i++)
        if (descriptors[i] >= from && descriptors[i] < lowest) lowest = descriptors[i];
    return lowest;
}

// Closes all but standard input, output and error, those that the container keeps, and some; -1 in the list counts not.
bool close_all_but(const struct stage *stage, const int *descriptors, size_t count) {
    int from = STDERR_FILENO + 1 + stage->kept;
    while (from < INT_MAX) {
        int next = lowest_from(from, descriptors, count);
        if (!close_between(from, next == INT_MAX ? next : next - 1)) return false;
        from = next == INT_MAX ? next : next + 1;
    }
    return true;
}

bool is_null_device(int descriptor) {
    struct stat status;
    return !fstat(descriptor, &status) && S_ISCHR(status.st_mode) && status.st_rdev == makedev(1, 3);
}
