// SPDX-License-Identifier: Apache-2.0
// The container's cgroup: made, guarded by a device filter, and held open for clone3's CLONE_INTO_CGROUP.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/bpf.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "init.h"

static int open_cgroup_mount(struct stage *stage, const char *mount) {
    int directory = open(mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct statfs status;
    if (directory < 0) return fail(stage, errno, "open %s", mount);
    if (!fstatfs(directory, &status) && status.f_type == CGROUP2_SUPER_MAGIC) return directory;
    close(directory);
    return fail(stage, ENOTSUP, "%s is not a cgroup2 mount", mount);
}

static bool is_populated(int cgroup) {
    char events[256];
    return !read_small_file(cgroup, "cgroup.events", events, sizeof events) && strstr(events, "populated 1");
}

static int enter_component(struct stage *stage, int *directory, const char *name, bool *existed) {
    *existed = mkdirat(*directory, name, 0755) != 0;
    if (*existed && errno != EEXIST) return fail(stage, errno, "make cgroup %s", name);
    int child = openat(*directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (child < 0) return fail(stage, errno, "open cgroup %s", name);
    close(*directory);
    *directory = child;
    return 0;
}

int make_cgroup(struct stage *stage, const union argument *arguments) {
    const char *path = arguments[1].string;
    int directory = open_cgroup_mount(stage, arguments[0].string);
    bool existed = true;
    while (directory >= 0) {
        path += strspn(path, "/");
        size_t length = strcspn(path, "/");
        if (!length) break;
        char name[NAME_MAX + 1] = {0};
        if (length > NAME_MAX) return fail(stage, ENAMETOOLONG, "cgroup %s", path);
        memcpy(name, path, length);
        if (pass_down_controllers(stage, directory, arguments[2].strings)) return -1;
        if (enter_component(stage, &directory, name, &existed)) return -1;
        path += length;
    }
    if (directory < 0) return -1;
    // What belongs to others would die with this container.
    if (existed && is_populated(directory)) return fail(stage, EBUSY, "cgroup %s has processes already", arguments[1].string);
    stage->cgroup = directory;
    stage->cgroup_existed = existed;
    return 0;
}

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
    int result = bpf(BPF_PROG_ATTACH, &attach) ? fail(stage, errno, "attach the device filter") : 0;
    close(program);
    close_descriptor(&replaced);
    return result;
}

// Only where a user or cgroup namespace is joined: from inside it, the kernel would refuse CLONE_INTO_CGROUP.
int enter_cgroup(struct stage *stage, const union argument *arguments) {
    (void)arguments;
    if (write_text(stage->cgroup, "cgroup.procs", "0")) return fail(stage, errno, "enter the cgroup");
    stage->entered_cgroup = true;
    return 0;
}
