// SPDX-License-Identifier: Apache-2.0
// New filesystems below the container's root.
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mounts.h"
#include "mountapi.h"

#ifndef MS_NOSYMFOLLOW
#define MS_NOSYMFOLLOW 256
#endif

struct filesystem {
    const char *path, *type, *source;
    struct list parameters, propagation;
    uint64_t attributes, flags, mapping, slot;
    bool covers;          // a directory that was there before
    struct stat covered;
};

static const char *mode_of_covered(const struct filesystem *filesystem, char mode[16]) {
    snprintf(mode, 16, "mode=%o", filesystem->covered.st_mode & 07777);
    return mode + sizeof "mode=" - 1;
}

// A tmpfs looks like the directory that it covers, as engines expect of runc.
static bool takes_mode(const struct filesystem *filesystem) {
    return filesystem->covers && !strcmp(filesystem->type, "tmpfs");
}

static int configure(int context, const struct filesystem *filesystem) {
    char mode[16];
    if (*filesystem->source && fs_config(context, FSCONFIG_SET_STRING, "source", filesystem->source)) return -1;
    if (takes_mode(filesystem) && fs_config(context, FSCONFIG_SET_STRING, "mode", mode_of_covered(filesystem, mode)))
        return -1;
    return set_parameters(context, filesystem->parameters) ? -1 : fs_config(context, FSCONFIG_CMD_CREATE, NULL, NULL);
}

static int fail_to_mount(struct stage *stage, int context, const struct filesystem *filesystem) {
    char what[64];
    int error = errno;
    snprintf(what, sizeof what, "mount %.40s", filesystem->type);
    return fail_by_context(stage, context, error, what, filesystem->path);
}

static bool is_elsewhere(const struct stage *stage, const struct filesystem *filesystem) {
    return stage->pid_namespace >= 0 && !strcmp(filesystem->type, "proc");
}

static int new_by_context(struct stage *stage, const struct filesystem *filesystem) {
    int context = fs_open(filesystem->type), tree = -1;
    if (context < 0) return fail(stage, errno, "mount %s on %s", filesystem->type, filesystem->path);
    if ((is_elsewhere(stage, filesystem) && fs_config_descriptor(context, "pidns", stage->pid_namespace)) ||
        configure(context, filesystem) || (tree = fs_mount(context, filesystem->attributes)) < 0)
        fail_to_mount(stage, context, filesystem);
    close(context);
    return tree;
}

static unsigned long mount_flags(const struct filesystem *filesystem) {
    static const struct { uint64_t attribute; unsigned long flag; } flags[] = {
        {MOUNT_ATTR_RDONLY, MS_RDONLY},         {MOUNT_ATTR_NOSUID, MS_NOSUID},
        {MOUNT_ATTR_NODEV, MS_NODEV},           {MOUNT_ATTR_NOEXEC, MS_NOEXEC},
        {MOUNT_ATTR_NOATIME, MS_NOATIME},       {MOUNT_ATTR_STRICTATIME, MS_STRICTATIME},
        {MOUNT_ATTR_NODIRATIME, MS_NODIRATIME}, {MOUNT_ATTR_NOSYMFOLLOW, MS_NOSYMFOLLOW},
    };
    unsigned long result = filesystem->flags & SILENT ? MS_SILENT : 0;
    if (filesystem->flags & IVERSION) result |= MS_I_VERSION;
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (filesystem->attributes & flags[i].attribute) result |= flags[i].flag;
    return superblock_flags(filesystem->parameters, result);
}

static int new_by_mount(struct stage *stage, const struct filesystem *filesystem) {
    static char data[MAX_DATA + 1];
    *data = 0;
    if (takes_mode(filesystem)) mode_of_covered(filesystem, data);
    int tree = -1;
    if (!join_parameters(data, filesystem->parameters))
        tree = mount_aside(stage, filesystem->type, filesystem->source, mount_flags(filesystem), data);
    return tree < 0 ? fail(stage, errno, "mount %s on %s", filesystem->type, filesystem->path) : tree;
}

static bool is_of_mapped_layers(const struct filesystem *filesystem) {
    return filesystem->mapping != NO_MAPPING && !strcmp(filesystem->type, "overlay");
}

static int new_filesystem(struct stage *stage, const struct filesystem *filesystem) {
    if (is_of_mapped_layers(filesystem))
        return mount_mapped_overlay(stage, filesystem->source, filesystem->parameters, filesystem->attributes,
                                    filesystem->mapping);
    bool by_mount = filesystem->flags & (SILENT | IVERSION) || !fit_fsconfig(filesystem->parameters);
    return by_mount && !is_elsewhere(stage, filesystem) ? new_by_mount(stage, filesystem)
                                                        : new_by_context(stage, filesystem);
}

static int map_ids(struct stage *stage, const struct filesystem *filesystem, int tree) {
    if (filesystem->mapping == NO_MAPPING || is_of_mapped_layers(filesystem)) return 0;
    return map_mount(stage, tree, filesystem->mapping, filesystem->type, NULL);
}

static bool has_owner(struct list parameters) {
    while (parameters.count) {
        const char *parameter = list_next_string(&parameters);
        if (!strncmp(parameter, "uid=", 4) || !strncmp(parameter, "gid=", 4)) return true;
    }
    return false;
}

static int fill(struct stage *stage, const struct filesystem *filesystem, int tree, int target) {
    if (!(filesystem->flags & COPY_UP) || !filesystem->covers) return 0;
    return copy_up(stage, target, tree, filesystem->path, has_owner(filesystem->parameters));
}

// For the init, by the outer stage: of a filesystem whose ids are mapped, the host's root must be the one who mounts it.
int open_filesystem(struct stage *stage, const union argument *arguments) {
    struct filesystem *filesystem = calloc(1, sizeof *filesystem);
    if (!filesystem) return fail(stage, ENOMEM, "mount %s on %s", arguments[1].string, arguments[0].string);
    *filesystem = (struct filesystem){
        .path = arguments[0].string,
        .type = arguments[1].string,
        .source = arguments[2].string,
        .parameters = arguments[3].strings,
        .attributes = arguments[4].number,
        .flags = arguments[5].number,
        .mapping = arguments[6].number,
    };
    return add_source(stage, (struct bind_source){.filesystem = filesystem, .mapping = NO_MAPPING});
}

int make_filesystem(struct stage *stage, const struct filesystem *filesystem) {
    int tree = new_filesystem(stage, filesystem);
    if (tree >= 0 && map_ids(stage, filesystem, tree)) close_descriptor(&tree);
    return tree;
}

static bool has_mode(struct list parameters) {
    while (parameters.count)
        if (!strncmp(list_next_string(&parameters), "mode=", 5)) return true;
    return false;
}

// The container's root may not own the mapped tmpfs; then its mode stays the default one.
static int take_filesystem(struct stage *stage, const struct filesystem *filesystem) {
    int tree = take_source(stage, filesystem->slot);
    if (takes_mode(filesystem) && !has_mode(filesystem->parameters))
        (void)!fchmodat(tree, ".", filesystem->covered.st_mode & 07777, 0);
    return tree;
}

// CVE-2019-19921: what is made may be a link again by the time that it is opened, so it is opened as strictly.
static int make_mount_point(const struct stage *stage, const char *path, uint64_t resolve) {
    int directory = make_directory_beneath(stage, path, 0755);
    if (directory < 0 || !resolve) return directory;
    close(directory);
    return open_beneath(stage, path, O_PATH | O_DIRECTORY, resolve);
}

static int open_mount_point(struct stage *stage, struct filesystem *filesystem) {
    const char *path = filesystem->path;
    uint64_t resolve = filesystem->flags & NO_SYMLINKS ? RESOLVE_NO_SYMLINKS : 0;
    int target = open_beneath(stage, path, O_PATH | O_DIRECTORY, resolve);
    filesystem->covers = target >= 0;
    if (target >= 0 && fstat(target, &filesystem->covered)) {
        close(target);
        return fail(stage, errno, "look at the mount point %s", path);
    }
    if (target < 0 && errno == ENOENT) target = make_mount_point(stage, path, resolve);
    if (target < 0 && (errno == ELOOP || errno == ENOTDIR))
        return fail(stage, errno, "mount %s on %s: it must be an ordinary directory", filesystem->type, path);
    return target < 0 ? fail(stage, errno, "make the mount point %s", path) : target;
}

int mount_filesystem(struct stage *stage, const union argument *arguments) {
    struct filesystem filesystem = {
        .path = arguments[0].string,
        .type = arguments[1].string,
        .source = arguments[2].string,
        .parameters = arguments[3].strings,
        .attributes = arguments[4].number,
        .propagation = arguments[5].numbers,
        .flags = arguments[6].number,
        .mapping = arguments[7].number,
        .slot = arguments[8].number,
    };
    int target = open_mount_point(stage, &filesystem);
    if (target < 0) return -1;
    int tree = filesystem.slot == NO_SLOT ? new_filesystem(stage, &filesystem) : take_filesystem(stage, &filesystem);
    int result = -1;
    // Filled first: what is copied up keeps its ids, and they are mapped like all others.
    if (tree >= 0 && !fill(stage, &filesystem, tree, target) && !map_ids(stage, &filesystem, tree))
        result = attach_mount(stage, tree, target, filesystem.path, filesystem.propagation, filesystem.flags);
    close_descriptor(&tree);
    close(target);
    return result;
}
