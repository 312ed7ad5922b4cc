// SPDX-License-Identifier: Apache-2.0
// The SELinux label of a filesystem that takes none when it is mounted: that of its root directory.
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "mounts.h"

int label_mount(struct stage *stage, const union argument *arguments) {
    const char *path = arguments[0].string, *label = arguments[1].string;
    int mounted = open_remembered(stage, path, 0);
    int root = mounted < 0 ? -1 : openat(mounted, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int result = root < 0 || fsetxattr(root, "security.selinux", label, strlen(label) + 1, 0)
                     ? fail(stage, errno, "label %s", path)
                     : 0;
    close_descriptor(&root);
    close_descriptor(&mounted);
    return result;
}
