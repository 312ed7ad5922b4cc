// SPDX-License-Identifier: Apache-2.0
// What the operations on mounts share.
#ifndef PYRUN_MOUNTS_H
#define PYRUN_MOUNTS_H

#include "init.h"

// Flags of mount_filesystem, bind_mount and remount, as pyrun/plan/mounts.py and mount_options.py give them.
enum {
    INSIDE_PROCFS = 1,
    NO_SYMLINKS = 2,
    REMEMBERED = 4,
    COPY_UP = 8,
    SILENT = 0x10,
    IVERSION = 0x20,
    NO_IVERSION = 0x40,
    BY_MOUNT = SILENT | IVERSION | NO_IVERSION,
};

// mounts.c: a propagation's bit 63 is for the mounts below too.
int attach_mount(struct stage *stage, int tree, int target, const char *path, struct list propagation, uint64_t flags);
int set_propagation(int tree, struct list changes);
// bits: four numbers, to set and to clear of the mount itself, then of all mounts of its tree.
int set_attributes(struct stage *stage, int tree, const char *path, const union argument *bits);

// remembered.c
int remember_mount(struct stage *stage, const char *destination, int tree);
void forget_mounts(struct stage *stage);
int open_remembered(const struct stage *stage, const char *path, uint64_t resolve);

// parameters.c: of a new or reconfigured filesystem, in fsconfig(2)'s context or as mount(2) takes them.
enum { MAX_DATA = 4095 };
int set_parameters(int context, struct list parameters);
bool fit_fsconfig(struct list parameters);
int fail_by_context(struct stage *stage, int context, int error, const char *what, const char *path);
unsigned long superblock_flags(struct list parameters, unsigned long flags);
int join_parameters(char data[MAX_DATA + 1], struct list parameters);

// aside.c: a new mount by mount(2), detached.
int mount_aside(struct stage *stage, const char *type, const char *source, unsigned long flags, const char *data);

// copyup.c
int copy_up(struct stage *stage, int covered, int tree, const char *path, bool keep_owner);

#endif
