// SPDX-License-Identifier: Apache-2.0
// What the parts that map ids of mounts share.
#ifndef PYRUN_MAPPINGS_H
#define PYRUN_MAPPINGS_H

#include "init.h"

// mountmappings.c
int map_tree(int tree, const struct id_mapping *mapping, bool recursive);

// mappingerrors.c: report why the kernel refused, and return -1.
int refuse_to_map_new(struct stage *stage, int error, const char *type);
int refuse_to_map_bind(struct stage *stage, int error, const char *source, const struct id_mapping *mapping,
                       bool recursive);

#endif
