// SPDX-License-Identifier: Apache-2.0
// The eBPF program that says which devices the processes of the container's cgroup may use.
#include <errno.h>
#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "init.h"

// Kernels 6.17 to 7.1 write behind a short attribute of BPF_PROG_QUERY; ours is always the whole union, zeroed.
static int bpf(int command, union bpf_attr *attribute) {
    return (int)syscall(SYS_bpf, command, attribute, sizeof *attribute);
}

static int load_program(struct bytes program) {
    static const char license[] = "Apache-2.0";
    union bpf_attr load = {0};
    load.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
    load.insns = (uint64_t)(uintptr_t)program.data;
    load.insn_cnt = program.length / (uint32_t)sizeof(struct bpf_insn);
    load.license = (uint64_t)(uintptr_t)license;
    return bpf(BPF_PROG_LOAD, &load);
}

// A cgroup that outlives its containers still has the filter of the last one; it would restrict the next one too.
static int attached_program(int cgroup) {
    uint32_t ids[2] = {0};
    union bpf_attr query = {0}, get = {0};
    query.query.target_fd = (uint32_t)cgroup;
    query.query.attach_type = BPF_CGROUP_DEVICE;
    query.query.prog_ids = (uint64_t)(uintptr_t)ids;
    query.query.prog_cnt = 2;
    if (bpf(BPF_PROG_QUERY, &query) || query.query.prog_cnt != 1) return -1;
    get.prog_id = ids[0];
    return bpf(BPF_PROG_GET_FD_BY_ID, &get);
}

// The programs stay open in here: this process ends soon, and the init closes what it has inherited before it waits.
int attach_device_filter(struct stage *stage, const union argument *arguments) {
    int program = load_program(arguments[0].bytes);
    if (program < 0) return fail(stage, errno, "load the device filter");
    int replaced = stage->cgroup_existed ? attached_program(stage->cgroup) : -1;
    union bpf_attr attach = {0};
    attach.target_fd = (uint32_t)stage->cgroup;
    attach.attach_bpf_fd = (uint32_t)program;
    attach.attach_type = BPF_CGROUP_DEVICE;
    attach.attach_flags = BPF_F_ALLOW_MULTI;
    if (replaced >= 0) {
        attach.attach_flags |= BPF_F_REPLACE;
        attach.replace_bpf_fd = (uint32_t)replaced;
    }
    return bpf(BPF_PROG_ATTACH, &attach) ? fail(stage, errno, "attach the device filter") : 0;
}
