// SPDX-License-Identifier: Apache-2.0
// Device nodes and links below /dev. The directory may be the image's or a volume's, so nothing that stands there
// already is followed, and a node is looked at again before its owner is changed.
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "init.h"
#include "mountapi.h"

static bool is_device(int descriptor, mode_t type, dev_t device) {
    struct stat status;
    if (fstat(descriptor, &status) || (status.st_mode & S_IFMT) != type) return false;
    return type == S_IFIFO || status.st_rdev == device;
}

// Where mknod is not permitted (in a user namespace, without CAP_MKNOD) the host's own node takes the place.
static int bind_host_device(struct stage *stage, const char *path, mode_t type, dev_t device) {
    int node = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (node < 0) return fail(stage, errno, "open the host's %s", path);
    if (!is_device(node, type, device)) {
        close(node);
        return fail(stage, ENODEV, "the host's %s is another device", path);
    }
    int tree = tree_open(node, "", OPEN_TREE_CLONE);
    int target = tree < 0 ? -1 : make_file_beneath(stage, path);
    int result = target < 0 || tree_attach(tree, target) ? fail(stage, errno, "bind the host's %s", path) : 0;
    close(node);
    close_descriptor(&tree);
    close_descriptor(&target);
    return result;
}

// What stands there already stays as it is: it may be the host's, bound, or of an image that can't be written.
static int expect_device(struct stage *stage, int parent, const char *name, mode_t type, dev_t device, const char *path) {
    int node = openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (node < 0) return fail(stage, errno, "open %s", path);
    bool expected = is_device(node, type, device);
    close(node);
    return expected ? 0 : fail(stage, EEXIST, "%s exists and is something else", path);
}

static int give_to(struct stage *stage, int parent, const char *name, mode_t type, dev_t device,
                   const union argument *arguments) {
    const char *path = arguments[0].string;
    int node = openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (node < 0) return fail(stage, errno, "open %s", path);
    int result = 0;
    if (!is_device(node, type, device))
        result = fail(stage, EEXIST, "%s has become something else", path);
    else if (fchownat(node, "", (uid_t)arguments[5].number, (gid_t)arguments[6].number, AT_EMPTY_PATH))
        result = fail(stage, errno, "change the owner of %s", path);
    close(node);
    return result;
}

int make_device(struct stage *stage, const union argument *arguments) {
    const char *path = arguments[0].string, *name;
    mode_t type = (mode_t)arguments[1].number;
    dev_t device = makedev((unsigned)arguments[2].number, (unsigned)arguments[3].number);
    int parent = make_parent_beneath(stage, path, &name);
    if (parent < 0) return fail(stage, errno, "make the directory of %s", path);
    int result;
    if (!mknodat(parent, name, type | (mode_t)arguments[4].number, device))
        result = give_to(stage, parent, name, type, device, arguments);
    else if (errno == EEXIST)
        result = expect_device(stage, parent, name, type, device, path);
    else if (errno == EPERM && type != S_IFIFO)
        result = bind_host_device(stage, path, type, device);
    else
        result = fail(stage, errno, "make the device %s", path);
    close(parent);
    return result;
}

// Flags of make_symlink, as pyrun/plan/devices.py gives them.
enum { REPLACE = 1, IF_TARGET_EXISTS = 2 };

static bool exists_beneath(const struct stage *stage, const char *path) {
    int descriptor = open_beneath(stage, path, O_PATH, 0);
    if (descriptor >= 0) close(descriptor);
    return descriptor >= 0;
}

int make_symlink(struct stage *stage, const union argument *arguments) {
    const char *target = arguments[0].string, *path = arguments[1].string, *name;
    uint64_t flags = arguments[2].number;
    if (flags & IF_TARGET_EXISTS && !exists_beneath(stage, target)) return 0;
    int parent = make_parent_beneath(stage, path, &name);
    if (parent < 0) return fail(stage, errno, "make the directory of %s", path);
    int error = symlinkat(target, parent, name) ? errno : 0;
    if (error == EEXIST && flags & REPLACE)
        error = unlinkat(parent, name, 0) || symlinkat(target, parent, name) ? errno : 0;
    close(parent);
    return error && error != EEXIST ? fail(stage, error, "link %s to %s", path, target) : 0;
}

int make_directory(struct stage *stage, const union argument *arguments) {
    int directory = make_directory_beneath(stage, arguments[0].string, (mode_t)arguments[1].number);
    if (directory < 0) return fail(stage, errno, "make the directory %s", arguments[0].string);
    close(directory);
    return 0;
}
