// SPDX-License-Identifier: Apache-2.0
// Labels of the kernel's security modules. They are written through a procfs that nothing of the image's or the
// config's covers: CVE-2019-16884, CVE-2019-19921 and CVE-2023-28642 made runtimes write them elsewhere.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "init.h"

// "self" is a link, which open_procfs does not follow; where it leads is the kernel's word.
static int open_attribute(const struct stage *stage, const char *name) {
    char process[32], path[128];
    ssize_t length = readlinkat(procfs_of(stage), "self", process, sizeof process - 1);
    if (length < 0) return -1;
    process[length] = 0;
    snprintf(path, sizeof path, "%s/attr/%s", process, name);
    return open_procfs(stage, path, O_WRONLY);
}

static int open_first_attribute(const struct stage *stage, struct list names) {
    int file = -1;
    errno = ENOENT;
    while (file < 0 && errno == ENOENT && names.count) file = open_attribute(stage, list_next_string(&names));
    return file;
}

// What the kernel will give to the next program, which clones inherit until then, or to the next keyring.
int set_label(struct stage *stage, const union argument *arguments) {
    const char *label = arguments[1].string;
    int file = open_first_attribute(stage, arguments[0].strings);
    // Not ENOENT: that is what AppArmor says of a profile that is not loaded.
    if (file < 0) return fail(stage, errno == ENOENT ? ENOTSUP : errno, "open what takes the label \"%s\"", label);
    ssize_t written = write(file, label, strlen(label));
    int error = written < 0 ? errno : EIO;
    close(file);
    return written == (ssize_t)strlen(label) ? 0 : fail(stage, error, "set the label \"%s\"", label);
}
