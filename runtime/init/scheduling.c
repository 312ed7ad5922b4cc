// SPDX-License-Identifier: Apache-2.0
// When, where and how urgently the process runs: scheduling policy, processors, priority of its input and output.
#include <errno.h>
#include <linux/sched/types.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "init.h"

enum { MOST_PROCESSORS = 8192 };  // CONFIG_NR_CPUS of every kernel so far

// The caller's affinity is not the container's: the kernel cuts what is asked for down to the cgroup's cpuset.
int reset_affinity(struct stage *stage, const union argument *arguments) {
    (void)arguments;
    unsigned char all[MOST_PROCESSORS / 8];
    memset(all, 0xff, sizeof all);
    if (syscall(SYS_sched_setaffinity, 0, sizeof all, all) < 0)
        warn(stage, "the processors stay those of the caller (error %d)", errno);
    return 0;
}

int set_affinity(struct stage *stage, const union argument *arguments) {
    struct bytes mask = arguments[0].bytes;
    return syscall(SYS_sched_setaffinity, 0, (size_t)mask.length, mask.data) < 0
               ? fail(stage, errno, "set the processors")
               : 0;
}

int set_scheduler(struct stage *stage, const union argument *arguments) {
    struct sched_attr attributes = {
        .size = sizeof attributes,
        .sched_policy = (uint32_t)arguments[0].number,
        .sched_flags = arguments[1].number,
        .sched_nice = (int32_t)arguments[2].number,
        .sched_priority = (uint32_t)arguments[3].number,
        .sched_runtime = arguments[4].number,
        .sched_deadline = arguments[5].number,
        .sched_period = arguments[6].number,
    };
    return syscall(SYS_sched_setattr, 0, &attributes, 0) ? fail(stage, errno, "set the scheduler") : 0;
}

int set_io_priority(struct stage *stage, const union argument *arguments) {
    enum { WHO_PROCESS = 1, CLASS_SHIFT = 13 };
    uint64_t priority = arguments[0].number << CLASS_SHIFT | arguments[1].number;
    return syscall(SYS_ioprio_set, WHO_PROCESS, 0, priority) ? fail(stage, errno, "set the I/O priority") : 0;
}
