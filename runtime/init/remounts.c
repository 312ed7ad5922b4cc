// SPDX-License-Identifier: Apache-2.0
// Changes of mounts that stand already: "remount", and what has to wait until everything is in place.
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <linux/stat.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "mounts.h"
#include "mountapi.h"

#ifndef MS_NOSYMFOLLOW
#define MS_NOSYMFOLLOW 256
#endif
#ifndef ST_NOSYMFOLLOW
#define ST_NOSYMFOLLOW 0x2000
#endif
#ifndef ST_RELATIME
#define ST_RELATIME 4096
#endif

// The image must not choose by a link which mount of the container is changed.
static int open_mount(struct stage *stage, const char *path) {
    struct statx status = {0};
    int mounted = open_remembered(stage, path, RESOLVE_NO_SYMLINKS);
    if (mounted < 0) return fail(stage, errno, "open the mount on %s", path);
    if (!syscall(SYS_statx, mounted, "", AT_EMPTY_PATH, STATX_TYPE, &status) &&
        status.stx_attributes & STATX_ATTR_MOUNT_ROOT)
        return mounted;
    close(mounted);
    return fail(stage, EINVAL, "change the mount on %s: nothing is mounted there", path);
}

static int reconfigure(struct stage *stage, int mounted, const char *path, struct list parameters) {
    int context = fs_pick(mounted);
    if (context < 0) return fail(stage, errno, "remount %s", path);
    int result = 0;
    if (set_parameters(context, parameters) || fs_config(context, FSCONFIG_CMD_RECONFIGURE, NULL, NULL))
        result = fail_by_context(stage, context, errno, "remount the filesystem", path);
    close(context);
    return result;
}

static unsigned long present_flags(int mounted) {
    static const struct { unsigned long status, flag; } flags[] = {
        {ST_RDONLY, MS_RDONLY},           {ST_NOSUID, MS_NOSUID},     {ST_NODEV, MS_NODEV},
        {ST_NOEXEC, MS_NOEXEC},           {ST_MANDLOCK, MS_MANDLOCK}, {ST_SYNCHRONOUS, MS_SYNCHRONOUS},
        {ST_NODIRATIME, MS_NODIRATIME},   {ST_NOATIME, MS_NOATIME},   {ST_RELATIME, MS_RELATIME},
        {ST_NOSYMFOLLOW, MS_NOSYMFOLLOW},
    };
    struct statvfs status;
    unsigned long result = 0;
    if (fstatvfs(mounted, &status)) return 0;
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (status.f_flag & flags[i].status) result |= flags[i].flag;
    return result & (MS_NOATIME | MS_RELATIME) ? result : result | MS_STRICTATIME;
}

// mount(2) sets what it is not told back, so it is told what is there.
static int reconfigure_by_mount(struct stage *stage, int mounted, const char *path, struct list parameters,
                                uint64_t asked) {
    static char data[MAX_DATA + 1];
    char place[64];
    unsigned long flags = superblock_flags(parameters, present_flags(mounted)) | MS_REMOUNT;
    if (asked & SILENT) flags |= MS_SILENT;
    if (asked & IVERSION) flags |= MS_I_VERSION;
    snprintf(place, sizeof place, "/proc/self/fd/%d", mounted);
    *data = 0;
    if (join_parameters(data, parameters) || mount(NULL, place, NULL, flags, data))
        return fail(stage, errno, "remount %s", path);
    return 0;
}

int remount(struct stage *stage, const union argument *arguments) {
    const char *path = arguments[0].string;
    struct list parameters = arguments[1].strings;
    uint64_t flags = arguments[7].number;
    int mounted = open_mount(stage, path);
    if (mounted < 0) return -1;
    int result = 0;
    if (flags & BY_MOUNT)
        result = reconfigure_by_mount(stage, mounted, path, parameters, flags);
    else if (parameters.count)
        result = reconfigure(stage, mounted, path, parameters);
    if (!result) result = set_attributes(stage, mounted, path, arguments + 2);
    if (!result && set_propagation(mounted, arguments[6].numbers))
        result = fail(stage, errno, "set the propagation of %s", path);
    close(mounted);
    return result;
}

// A tmpfs that holds devices or mount points can be made read-only only once they are there.
int readonly_mount(struct stage *stage, const union argument *arguments) {
    const char *path = arguments[0].string;
    int mounted = open_mount(stage, path);
    if (mounted < 0) return -1;
    int result = tree_set(mounted, 0, MOUNT_ATTR_RDONLY, 0, 0) ? fail(stage, errno, "make %s read-only", path) : 0;
    close(mounted);
    return result;
}

int propagate_mount(struct stage *stage, const union argument *arguments) {
    const char *path = arguments[0].string;
    int mounted = open_mount(stage, path);
    if (mounted < 0) return -1;
    int result = 0;
    if (set_propagation(mounted, arguments[1].numbers)) result = fail(stage, errno, "set the propagation of %s", path);
    close(mounted);
    return result;
}
