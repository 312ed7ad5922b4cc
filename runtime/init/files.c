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

// Closes all above standard error but two, of which the second may be -1.
bool close_all_but(int first, int second) {
    int low = second < 0 || first < second ? first : second, high = second < 0 || first > second ? first : second;
    return close_between(STDERR_FILENO + 1, low - 1) && close_between(low + 1, high - 1) &&
           close_between(high + 1, INT_MAX);
}

bool is_null_device(int descriptor) {
    struct stat status;
    return !fstat(descriptor, &status) && S_ISCHR(status.st_mode) && status.st_rdev == makedev(1, 3);
}
