// SPDX-License-Identifier: Apache-2.0
// The descent from root: bounding set, ids, capabilities, no_new_privs and, last, the seccomp filter.
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "init.h"

int set_no_new_privileges(struct stage *stage, const union argument *arguments) {
    (void)arguments;
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ? fail(stage, errno, "set no_new_privs") : 0;
}

int limit_bounding_set(struct stage *stage, const union argument *arguments) {
    uint64_t kept = arguments[0].number;
    for (unsigned long capability = 0; capability < 64; capability++) {
        if (kept >> capability & 1 || !prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)) continue;
        if (errno == EINVAL) break;  // the kernel's last capability is behind us
        return fail(stage, errno, "drop capability %lu from the bounding set", capability);
    }
    return 0;
}

static int set_groups(struct list numbers) {
    gid_t *groups = calloc(numbers.count + 1, sizeof *groups);
    size_t count = 0;
    if (!groups) return -1;
    while (numbers.count) groups[count++] = (gid_t)list_next_number(&numbers);
    int result = setgroups(count, groups);
    free(groups);
    return result;
}

int set_identity(struct stage *stage, const union argument *arguments) {
    uid_t user = (uid_t)arguments[0].number;
    gid_t group = (gid_t)arguments[1].number;
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0)) return fail(stage, errno, "keep capabilities");
    // A joined user namespace may deny setgroups(2); then nobody could have given it groups either.
    bool none = arguments[2].numbers.count == 0;
    if (set_groups(arguments[2].numbers) && !(none && errno == EPERM)) return fail(stage, errno, "set the additional groups");
    if (setresgid(group, group, group)) return fail(stage, errno, "become group %u", group);
    if (setresuid(user, user, user)) return fail(stage, errno, "become user %u", user);
    // A change of ids makes the process as dumpable as fs.suid_dumpable says.
    prctl(PR_SET_DUMPABLE, stage->opened_to_user, 0, 0, 0);
    return prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) ? fail(stage, errno, "stop keeping capabilities") : 0;
}

static struct __user_cap_header_struct this_thread(void) {
    return (struct __user_cap_header_struct){.version = _LINUX_CAPABILITY_VERSION_3};
}

static int permitted_now(uint64_t *permitted) {
    struct __user_cap_header_struct header = this_thread();
    struct __user_cap_data_struct data[2];
    if (syscall(SYS_capget, &header, data)) return -1;
    *permitted = (uint64_t)data[1].permitted << 32 | data[0].permitted;
    return 0;
}

static void raise_ambient(struct stage *stage, uint64_t ambient) {
    uint64_t refused = 0;
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    for (unsigned long capability = 0; capability < 64; capability++)
        if (ambient >> capability & 1 && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0))
            refused |= 1ULL << capability;
    if (refused)
        warn(stage, "ambient capabilities 0x%llx are not raised: they are not both permitted and inheritable",
             (unsigned long long)refused);
}

// A capability that the runtime itself lacks can't be granted; the specification asks for a warning, not an error.
int set_capabilities(struct stage *stage, const union argument *arguments) {
    uint64_t held, permitted = arguments[1].number;
    if (permitted_now(&held)) return fail(stage, errno, "read the capabilities");
    if (permitted & ~held) warn(stage, "capabilities 0x%llx can't be granted", (unsigned long long)(permitted & ~held));
    permitted &= held;
    uint64_t effective = arguments[0].number & permitted, inheritable = arguments[2].number & held;
    struct __user_cap_header_struct header = this_thread();
    struct __user_cap_data_struct data[2] = {
        {.effective = (uint32_t)effective, .permitted = (uint32_t)permitted, .inheritable = (uint32_t)inheritable},
        {.effective = (uint32_t)(effective >> 32),
         .permitted = (uint32_t)(permitted >> 32),
         .inheritable = (uint32_t)(inheritable >> 32)},
    };
    if (syscall(SYS_capset, &header, data)) return fail(stage, errno, "set the capabilities");
    raise_ambient(stage, arguments[3].number);
    return 0;
}

// Returns 0, or the reason why not.
static int apply_seccomp(const struct seccomp_filter *filter) {
    struct sock_fprog program = {.len = (unsigned short)(filter->program.length / sizeof(struct sock_filter)),
                                 .filter = (struct sock_filter *)(uintptr_t)filter->program.data};
    long result = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, filter->flags, &program);
    return result < 0 ? errno : result > 0 ? EBUSY : 0;
}

// For hooks that come from the image: each loads it into its own process, so that the init itself is not filtered yet.
int keep_seccomp_for_hooks(struct stage *stage, const union argument *arguments) {
    stage->filter_of_hooks = (struct seccomp_filter){arguments[0].number, arguments[1].bytes};
    return 0;
}

int filter_hook(const struct stage *stage) {
    return stage->filter_of_hooks.program.length ? apply_seccomp(&stage->filter_of_hooks) : 0;
}

int load_seccomp(struct stage *stage, const union argument *arguments) {
    const struct seccomp_filter filter = {arguments[0].number, arguments[1].bytes};
    int error = apply_seccomp(&filter);
    return error ? fail(stage, error, "load the seccomp filter") : 0;
}
