// SPDX-License-Identifier: Apache-2.0
// overlayfs can't be id-mapped itself, but since Linux 5.19 its layers can: each is cloned, mapped, and then named to
// the overlay by its descriptor. Before Linux 6.15 it takes no clone that is not attached, so a child that shares our
// descriptors attaches them in a mount namespace of its own, which goes away with it; the overlay keeps what it needs.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/openat2.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "init.h"
#include "mountapi.h"

enum { MAX_LAYERS = 500, MAX_TREES = MAX_LAYERS, FSCONFIG_LIMIT = 255, STACK = 64 << 10 };

struct layer {
    char key[16];
    int descriptor;
};

struct overlay {
    struct layer layers[MAX_LAYERS];
    int trees[MAX_TREES];  // the mapped clones that the layers are in
    unsigned count, tree_count;
    const char *source;
    struct list parameters;
    uint64_t attributes;
    struct id_mapping mapping;
    int result, error;
    char words[256];
};

// Returns the path in a parameter that names a layer, or NULL.
static const char *layer_of(const char *parameter, const char *key) {
    size_t length = strlen(key);
    return strncmp(parameter, key, length) || parameter[length] != '=' ? NULL : parameter + length + 1;
}

static bool is_layer(const char *parameter) {
    return layer_of(parameter, "lowerdir+") || layer_of(parameter, "datadir+") || layer_of(parameter, "upperdir") ||
           layer_of(parameter, "workdir");
}

static int clone_mapped(struct stage *stage, struct overlay *overlay, const char *path, uint64_t mapping) {
    if (overlay->tree_count == MAX_TREES) return fail(stage, E2BIG, "more than %d layers", MAX_TREES);
    int tree = tree_open(AT_FDCWD, path, OPEN_TREE_CLONE);
    if (tree < 0) return fail(stage, errno, "open the layer %s", path);
    overlay->trees[overlay->tree_count++] = tree;
    return map_mount(stage, tree, mapping, NULL, path) ? -1 : tree;
}

static int add_layer(struct stage *stage, struct overlay *overlay, const char *key, int descriptor) {
    if (overlay->count == MAX_LAYERS) return fail(stage, E2BIG, "more than %d layers", MAX_LAYERS);
    struct layer *layer = &overlay->layers[overlay->count++];
    snprintf(layer->key, sizeof layer->key, "%s", key);
    layer->descriptor = descriptor;
    return 0;
}

// Without what is mounted below, the tree may have another directory there.
static int open_inside(int tree, const char *path, const char *whole_path) {
    struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV};
    int directory = (int)syscall(SYS_openat2, tree, *path ? path : ".", &how, sizeof how);
    struct stat found, meant;
    if (directory >= 0 && !fstat(directory, &found) && !stat(whole_path, &meant) && found.st_dev == meant.st_dev &&
        found.st_ino == meant.st_ino)
        return directory;
    close_descriptor(&directory);
    return -1;
}

// The length of what two absolute paths begin with, up to and with a slash.
static size_t common_directory(const char *first, const char *second) {
    size_t length = 0;
    for (size_t i = 0; first[i] && first[i] == second[i]; i++)
        if (first[i] == '/') length = i + 1;
    return length;
}

// They must be in one mount, so it is the directory that both are in which is cloned.
static int add_writable(struct stage *stage, struct overlay *overlay, const char *upper, const char *work,
                        uint64_t mapping) {
    static char paths[2][PATH_MAX];
    static char parent[PATH_MAX];
    const char *keys[] = {"upperdir", "workdir"}, *names[] = {upper, work};
    for (int i = 0; i < 2; i++)
        if (!realpath(names[i], paths[i])) return fail(stage, errno, "open the layer %s", names[i]);
    size_t length = common_directory(paths[0], paths[1]);
    snprintf(parent, sizeof parent, "%.*s", (int)length, paths[0]);
    int tree = clone_mapped(stage, overlay, parent, mapping);
    for (int i = 0; tree >= 0 && i < 2; i++) {
        int directory = open_inside(tree, paths[i] + length, paths[i]);
        if (directory < 0) return fail(stage, 0, "%s %s: upperdir and workdir must be in one mount", keys[i], names[i]);
        if (add_layer(stage, overlay, keys[i], directory)) return -1;
    }
    return tree < 0 ? -1 : 0;
}

static int add_lower(struct stage *stage, struct overlay *overlay, const char *key, const char *path, uint64_t mapping) {
    int tree = clone_mapped(stage, overlay, path, mapping);
    return tree < 0 ? -1 : add_layer(stage, overlay, key, tree);
}

static int open_layers(struct stage *stage, struct overlay *overlay, uint64_t mapping) {
    const char *upper = NULL, *work = NULL, *path;
    for (struct list rest = overlay->parameters; rest.count;) {
        const char *parameter = list_next_string(&rest);
        if ((path = layer_of(parameter, "upperdir"))) upper = path;
        if ((path = layer_of(parameter, "workdir"))) work = path;
        if ((path = layer_of(parameter, "lowerdir+")) && add_lower(stage, overlay, "lowerdir+", path, mapping)) return -1;
        if ((path = layer_of(parameter, "datadir+")) && add_lower(stage, overlay, "datadir+", path, mapping)) return -1;
    }
    if (!upper && !work) return 0;
    if (!upper || !work) return fail(stage, 0, "an overlay has an upperdir and a workdir, or neither");
    return add_writable(stage, overlay, upper, work, mapping);
}

static int attach_layers(const struct overlay *overlay) {
    int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    int result = root < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ? -1 : 0;
    for (unsigned i = 0; !result && i < overlay->tree_count; i++) result = tree_attach(overlay->trees[i], root);
    close_descriptor(&root);
    return result;
}

// What the overlay makes in its work directory, it makes as the process that mounts it: an id that the layers can store.
static int act_as_owner(const struct id_mapping *mapping) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    setfsgid(mapping->group);
    setfsuid(mapping->user);
    // A change of credentials makes the process, here also its parent, as dumpable as fs.suid_dumpable says.
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    if (syscall(SYS_capget, &header, data)) return -1;
    for (int i = 0; i < 2; i++) data[i].effective = data[i].permitted;
    return (int)syscall(SYS_capset, &header, data);
}

static int set_layer(int context, const struct layer *layer) {
    char name[16];
    snprintf(name, sizeof name, "%d", layer->descriptor);
    return fs_config(context, FSCONFIG_SET_STRING, layer->key, name);
}

// "3:4:5", or false where that is too long, or can't be said that way: then it takes Linux 6.7 (6.8 for data layers).
static bool join_lowers(const struct overlay *overlay, char *text, size_t size) {
    size_t used = 0;
    for (unsigned i = 0; i < overlay->count; i++) {
        const struct layer *layer = &overlay->layers[i];
        if (!strcmp(layer->key, "datadir+")) return false;
        if (strcmp(layer->key, "lowerdir+")) continue;
        used += (size_t)snprintf(text + used, size - used, "%s%d", used ? ":" : "", layer->descriptor);
        if (used >= size) return false;
    }
    return used;
}

static int configure(int context, const struct overlay *overlay) {
    char lowers[FSCONFIG_LIMIT + 1];
    bool joined = join_lowers(overlay, lowers, sizeof lowers);
    if (*overlay->source && fs_config(context, FSCONFIG_SET_STRING, "source", overlay->source)) return -1;
    if (joined && fs_config(context, FSCONFIG_SET_STRING, "lowerdir", lowers)) return -1;
    for (unsigned i = 0; i < overlay->count; i++)
        if (!(joined && !strcmp(overlay->layers[i].key, "lowerdir+")) && set_layer(context, &overlay->layers[i])) return -1;
    for (struct list rest = overlay->parameters; rest.count;) {
        const char *parameter = list_next_string(&rest);
        if (!is_layer(parameter) && set_parameter(context, parameter)) return -1;
    }
    return fs_config(context, FSCONFIG_CMD_CREATE, NULL, NULL);
}

static int make_overlay(void *about) {
    struct overlay *overlay = about;
    int context = -1;
    if (!attach_layers(overlay) && !chdir("/proc/self/fd") && !act_as_owner(&overlay->mapping) &&
        (context = fs_open("overlay")) >= 0 && !configure(context, overlay))
        overlay->result = fs_mount(context, overlay->attributes);
    overlay->error = errno;
    ssize_t length = context < 0 ? 0 : read(context, overlay->words, sizeof overlay->words - 1);
    overlay->words[length > 0 ? length : 0] = 0;
    close_descriptor(&context);
    return 0;
}

static int make_in_private_namespace(struct overlay *overlay) {
    static char stack[STACK] __attribute__((aligned(16)));
    pid_t process = clone(make_overlay, stack + sizeof stack,
                          CLONE_VM | CLONE_VFORK | CLONE_FILES | CLONE_NEWNS | SIGCHLD, overlay);
    if (process < 0) return -1;
    while (waitpid(process, NULL, 0) < 0 && errno == EINTR) continue;
    errno = overlay->error;
    return overlay->result;
}

static void close_layers(struct overlay *overlay) {
    for (unsigned i = 0; i < overlay->count; i++)
        if (strchr(overlay->layers[i].key, '+') == NULL) close(overlay->layers[i].descriptor);
    for (unsigned i = 0; i < overlay->tree_count; i++) close(overlay->trees[i]);
}

int mount_mapped_overlay(struct stage *stage, const char *source, struct list parameters, uint64_t attributes,
                         uint64_t mapping) {
    static struct overlay overlay;
    overlay = (struct overlay){.source = source, .parameters = parameters, .attributes = attributes, .result = -1};
    const struct id_mapping *found = find_mapping(stage, mapping);
    if (!found || open_layers(stage, &overlay, mapping)) return -1;
    overlay.mapping = *found;
    int tree = make_in_private_namespace(&overlay);
    int error = errno;
    overlay.words[strcspn(overlay.words, "\n")] = 0;
    close_layers(&overlay);
    if (tree >= 0) return tree;
    return fail(stage, error, "mount an overlay of %u id-mapped layers, which takes Linux 5.19 (6.7 for many)%s%s",
                overlay.count, *overlay.words ? ": " : "", *overlay.words ? overlay.words + 2 : "");
}
