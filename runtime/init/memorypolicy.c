// SPDX-License-Identifier: Apache-2.0
// The NUMA nodes that the process's memory comes from.
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "init.h"

int set_memory_policy(struct stage *stage, const union argument *arguments) {
    struct bytes nodes = arguments[1].bytes;
    // The kernel looks at one bit less than it is told of.
    unsigned long bits = nodes.length ? nodes.length * 8UL + 1 : 0;
    return syscall(SYS_set_mempolicy, arguments[0].number, bits ? nodes.data : NULL, bits)
               ? fail(stage, errno, "set the memory policy")
               : 0;
}
