// SPDX-License-Identifier: Apache-2.0
// The container's root: a bind mount or an overlay, attached in the container's own mount namespace, then made "/".
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "init.h"
#include "mountapi.h"

enum { MAX_LAYERS = 500, FSCONFIG_LIMIT = 255, MOUNT_DATA_LIMIT = 4095 };

int propagate_root(struct stage *stage, const union argument *arguments) {
    return mount(NULL, "/", NULL, (unsigned long)arguments[0].number, NULL)
               ? fail(stage, errno, "set the propagation of /")
               : 0;
}

static bool is_same_directory(int first, int second) {
    struct stat one, other;
    return !fstat(first, &one) && !fstat(second, &other) && one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

// Only the root of a mount has a propagation: the one that the path lies on is found going up.
static int make_mount_private(int directory) {
    int error = 0;
    while (tree_set(directory, 0, 0, 0, MS_PRIVATE) && !error) {
        error = errno == EINVAL ? 0 : errno;
        int parent = openat(directory, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (parent < 0 || is_same_directory(directory, parent)) error = EINVAL;
        close(directory);
        directory = parent;
    }
    close_descriptor(&directory);
    errno = error;
    return error ? -1 : 0;
}

// Where the root's mounts are shared with the host, attaching the container's root must still not reach it.
int isolate_root(struct stage *stage, const union argument *arguments) {
    const char *path = arguments[0].string;
    int directory = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0) return fail(stage, errno, "open %s", path);
    return make_mount_private(directory) ? fail(stage, errno, "make the mount of %s private", path) : 0;
}

static int open_directory(struct stage *stage, const char *path) {
    int directory = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return directory < 0 ? fail(stage, errno, "open %s", path) : directory;
}

static int attach_root(struct stage *stage, int tree, int target, const char *path) {
    if (tree < 0 || tree_attach(tree, target)) return fail(stage, errno, "mount the root on %s", path);
    stage->root = tree;
    close(target);
    return 0;
}

int bind_root(struct stage *stage, const union argument *arguments) {
    const char *path = arguments[0].string;
    int target = open_directory(stage, path);
    if (target < 0) return -1;
    return attach_root(stage, tree_open(target, "", OPEN_TREE_CLONE | AT_RECURSIVE), target, path);
}

int use_root(struct stage *stage, const union argument *arguments) {
    stage->root = open_directory(stage, arguments[0].string);
    return stage->root < 0 ? -1 : 0;
}

// A layer is opened once. It is named by its path as long as both interfaces can take it (255 bytes in fsconfig, no
// character that overlayfs splits or unescapes), else by its descriptor.
struct layer {
    int descriptor;
    char name[FSCONFIG_LIMIT + 1];
};

static int open_layer(struct stage *stage, const char *path, bool by_descriptor, struct layer *layer) {
    layer->descriptor = open_directory(stage, path);
    if (layer->descriptor < 0) return -1;
    if (by_descriptor || strlen(path) > FSCONFIG_LIMIT || strpbrk(path, ":,\\"))
        snprintf(layer->name, sizeof layer->name, "/proc/self/fd/%d", layer->descriptor);
    else
        snprintf(layer->name, sizeof layer->name, "%s", path);
    return 0;
}

static void close_layers(struct layer *layers, unsigned count) {
    for (unsigned i = 0; i < count; i++) close(layers[i].descriptor);
}

// layers: the lower ones from the top down, then, if the overlay is writable, upper and work.
struct overlay {
    struct layer layers[MAX_LAYERS];
    unsigned lowers, count;
    struct list parameters;
};

static int open_layers(struct stage *stage, struct overlay *overlay, struct list lowers, const char *upper,
                       const char *work) {
    bool by_descriptor = lowers.count > MOUNT_DATA_LIMIT / FSCONFIG_LIMIT;
    overlay->count = 0;
    overlay->lowers = lowers.count;
    if (lowers.count > MAX_LAYERS - 2) return fail(stage, E2BIG, "more than %d layers", MAX_LAYERS - 2);
    while (lowers.count) {
        if (open_layer(stage, list_next_string(&lowers), by_descriptor, &overlay->layers[overlay->count])) return -1;
        overlay->count++;
    }
    const char *writable[] = {upper, work};
    for (int i = 0; i < 2 && *upper; i++) {
        if (open_layer(stage, writable[i], by_descriptor, &overlay->layers[overlay->count])) return -1;
        overlay->count++;
    }
    return 0;
}

static int configure_layers(int context, const struct overlay *overlay) {
    for (unsigned i = 0; i < overlay->count; i++) {
        const char *key = i < overlay->lowers ? "lowerdir+" : i == overlay->lowers ? "upperdir" : "workdir";
        if (fs_config(context, FSCONFIG_SET_STRING, key, overlay->layers[i].name)) return -1;
    }
    for (struct list rest = overlay->parameters; rest.count;)
        if (fs_config(context, FSCONFIG_SET_FLAG, list_next_string(&rest), NULL)) return -1;
    return 0;
}

static int mount_overlay_by_descriptor(const struct overlay *overlay) {
    int context = fs_open("overlay");
    int tree = -1;
    if (context >= 0 && !configure_layers(context, overlay) &&
        !fs_config(context, FSCONFIG_SET_STRING, "source", "overlay") &&
        !fs_config(context, FSCONFIG_CMD_CREATE, NULL, NULL))
        tree = fs_mount(context, 0);
    int error = errno;
    if (context >= 0) close(context);
    errno = error;
    return tree;
}

static size_t append(char *text, size_t used, const char *before, const char *words) {
    int length = snprintf(text + used, MOUNT_DATA_LIMIT + 1 - used, "%s%s", before, words);
    return used + (size_t)length > MOUNT_DATA_LIMIT ? MOUNT_DATA_LIMIT : used + (size_t)length;
}

// Kernels before 6.7 know no "lowerdir+", and fsconfig can't take a longer list.
static int mount_overlay_by_name(const struct overlay *overlay, int target, const char *path) {
    char data[MOUNT_DATA_LIMIT + 1], place[64];
    size_t used = 0;
    for (unsigned i = 0; i < overlay->count; i++) {
        const char *key = i == 0 ? "lowerdir=" : i < overlay->lowers ? ":" : i == overlay->lowers ? ",upperdir=" : ",workdir=";
        used = append(data, used, key, overlay->layers[i].name);
    }
    for (struct list rest = overlay->parameters; rest.count;)
        used = append(data, used, ",", list_next_string(&rest));
    if (used == MOUNT_DATA_LIMIT) {
        errno = E2BIG;
        return -1;
    }
    snprintf(place, sizeof place, "/proc/self/fd/%d", target);
    if (mount("overlay", place, "overlay", 0, data)) return -1;
    // The descriptor still stands below the new mount.
    return open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

int overlay_root(struct stage *stage, const union argument *arguments) {
    static struct overlay overlay;
    const char *path = arguments[0].string;
    int target = open_directory(stage, path);
    overlay.parameters = arguments[4].strings;
    if (target < 0) return -1;
    if (open_layers(stage, &overlay, arguments[1].strings, arguments[2].string, arguments[3].string)) return -1;
    int tree = mount_overlay_by_descriptor(&overlay);
    int result = 0;
    if (tree >= 0) {
        result = attach_root(stage, tree, target, path);
    } else {
        stage->root = mount_overlay_by_name(&overlay, target, path);
        if (stage->root < 0) result = fail(stage, errno, "mount an overlay of %u layers on %s", overlay.count, path);
        close(target);
    }
    close_layers(overlay.layers, overlay.count);
    return result;
}

// The old root ends up on top of the new one; it is made a slave first, so that taking it off can't reach the host.
int pivot_to_root(struct stage *stage, const union argument *arguments) {
    (void)arguments;
    int old = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (old < 0) return fail(stage, errno, "open /");
    if (fchdir(stage->root)) return fail(stage, errno, "enter the root");
    if (syscall(SYS_pivot_root, ".", ".")) return fail(stage, errno, "pivot_root");
    if (fchdir(old)) return fail(stage, errno, "return to the old root");
    if (mount(NULL, ".", NULL, MS_SLAVE | MS_REC, NULL)) return fail(stage, errno, "make the old root a slave");
    if (umount2(".", MNT_DETACH)) return fail(stage, errno, "unmount the old root");
    close(old);
    return chdir("/") ? fail(stage, errno, "enter /") : 0;
}

// For a root that can't be pivoted from (an initramfs): the container's root covers it.
int move_to_root(struct stage *stage, const union argument *arguments) {
    // What stays visible below would let a user namespace mount procfs and sysfs anew without the masks. Where the
    // root is shared with the host, these must not be taken from the host too.
    if (mount(NULL, "/", NULL, MS_SLAVE, NULL)) return fail(stage, errno, "make / a slave");
    for (int i = 0; i < 2; i++) {
        const char *path = i ? "/sys" : "/proc";
        if (!mount(NULL, path, NULL, MS_SLAVE | MS_REC, NULL)) umount2(path, MNT_DETACH);
    }
    if (fchdir(stage->root)) return fail(stage, errno, "enter the root");
    if (syscall(SYS_move_mount, stage->root, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH))
        return fail(stage, errno, "move the root to /");
    return change_root(stage, arguments);
}

int change_root(struct stage *stage, const union argument *arguments) {
    (void)arguments;
    if (fchdir(stage->root)) return fail(stage, errno, "enter the root");
    if (chroot(".")) return fail(stage, errno, "change the root");
    return chdir("/") ? fail(stage, errno, "enter /") : 0;
}

int readonly_root(struct stage *stage, const union argument *arguments) {
    (void)arguments;
    return tree_set(stage->root, 0, MOUNT_ATTR_RDONLY, 0, 0) ? fail(stage, errno, "make the root read-only") : 0;
}
