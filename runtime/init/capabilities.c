// SPDX-License-Identifier: Apache-2.0
// The five capability sets. What can't be granted is left out with a warning (runtime-spec, config.md, Linux Process).
#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "init.h"

enum { HIGHEST = 63, NAMES_SHOWN = 600 };

#define NAME(capability) [capability] = #capability
static const char *const names[] = {
    NAME(CAP_CHOWN),           NAME(CAP_DAC_OVERRIDE),    NAME(CAP_DAC_READ_SEARCH), NAME(CAP_FOWNER),
    NAME(CAP_FSETID),          NAME(CAP_KILL),            NAME(CAP_SETGID),          NAME(CAP_SETUID),
    NAME(CAP_SETPCAP),         NAME(CAP_LINUX_IMMUTABLE), NAME(CAP_NET_BIND_SERVICE), NAME(CAP_NET_BROADCAST),
    NAME(CAP_NET_ADMIN),       NAME(CAP_NET_RAW),         NAME(CAP_IPC_LOCK),        NAME(CAP_IPC_OWNER),
    NAME(CAP_SYS_MODULE),      NAME(CAP_SYS_RAWIO),       NAME(CAP_SYS_CHROOT),      NAME(CAP_SYS_PTRACE),
    NAME(CAP_SYS_PACCT),       NAME(CAP_SYS_ADMIN),       NAME(CAP_SYS_BOOT),        NAME(CAP_SYS_NICE),
    NAME(CAP_SYS_RESOURCE),    NAME(CAP_SYS_TIME),        NAME(CAP_SYS_TTY_CONFIG),  NAME(CAP_MKNOD),
    NAME(CAP_LEASE),           NAME(CAP_AUDIT_WRITE),     NAME(CAP_AUDIT_CONTROL),   NAME(CAP_SETFCAP),
    NAME(CAP_MAC_OVERRIDE),    NAME(CAP_MAC_ADMIN),       NAME(CAP_SYSLOG),          NAME(CAP_WAKE_ALARM),
    NAME(CAP_BLOCK_SUSPEND),   NAME(CAP_AUDIT_READ),      NAME(CAP_PERFMON),         NAME(CAP_BPF),
    NAME(CAP_CHECKPOINT_RESTORE),
};

static bool has(uint64_t set, unsigned long capability) { return set >> capability & 1; }

static uint64_t bit(unsigned long capability) { return 1ULL << capability; }

static void warn_of(struct stage *stage, uint64_t set, const char *reason) {
    char text[NAMES_SHOWN];
    size_t used = 0;
    for (unsigned long each = 0; each < sizeof names / sizeof *names && used < sizeof text; each++)
        if (has(set, each)) used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", used ? ", " : "", names[each]);
    if (used) warn(stage, "%s: %s", text, reason);
}

// What is dropped has to go; what is kept has to be there, or nobody will ever have it.
int limit_bounding_set(struct stage *stage, const union argument *arguments) {
    uint64_t kept = arguments[0].number, missing = 0;
    for (unsigned long capability = 0; capability <= HIGHEST; capability++) {
        int result = prctl(has(kept, capability) ? PR_CAPBSET_READ : PR_CAPBSET_DROP, capability, 0, 0, 0);
        if (result < 0 && errno != EINVAL) return fail(stage, errno, "drop capability %lu from the bounding set", capability);
        if (has(kept, capability) && result != 1) missing |= bit(capability);
        else if (result < 0) break;  // the kernel's last capability is behind us
    }
    warn_of(stage, missing, "not in the bounding set: pyrun's own does not have it, or the kernel does not know it");
    return 0;
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

// capabilities(7): what the bounding set lacks can't be made inheritable.
static uint64_t inheritable_of(uint64_t wanted) {
    uint64_t possible = 0;
    for (unsigned long capability = 0; wanted >> capability && capability <= HIGHEST; capability++)
        if (has(wanted, capability) && prctl(PR_CAPBSET_READ, capability, 0, 0, 0) == 1) possible |= bit(capability);
    return possible;
}

static uint64_t raise_ambient(uint64_t ambient) {
    uint64_t refused = 0;
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    for (unsigned long capability = 0; ambient >> capability && capability <= HIGHEST; capability++)
        if (has(ambient, capability) && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0))
            refused |= bit(capability);
    return refused;
}

static int set_sets(uint64_t effective, uint64_t permitted, uint64_t inheritable) {
    struct __user_cap_header_struct header = this_thread();
    struct __user_cap_data_struct data[2] = {
        {.effective = (uint32_t)effective, .permitted = (uint32_t)permitted, .inheritable = (uint32_t)inheritable},
        {.effective = (uint32_t)(effective >> 32),
         .permitted = (uint32_t)(permitted >> 32),
         .inheritable = (uint32_t)(inheritable >> 32)},
    };
    return (int)syscall(SYS_capset, &header, data);
}

// Stands more than once in a plan that keeps a capability for a while; what is missing is said the first time.
int set_capabilities(struct stage *stage, const union argument *arguments) {
    static bool said;
    uint64_t held, permitted = arguments[1].number, wanted = arguments[2].number;
    if (permitted_now(&held)) return fail(stage, errno, "read the capabilities");
    uint64_t inheritable = wanted & held ? inheritable_of(wanted & held) : 0;
    if (set_sets(arguments[0].number & held & permitted, permitted & held, inheritable))
        return fail(stage, errno, "set the capabilities");
    uint64_t refused = raise_ambient(arguments[3].number);
    if (said) return 0;
    said = true;
    warn_of(stage, permitted & ~held, "not granted: pyrun itself does not have it");
    warn_of(stage, wanted & ~inheritable, "not inheritable: pyrun itself or the bounding set does not have it");
    warn_of(stage, refused, "not ambient: it has to be permitted and inheritable as well");
    return 0;
}
