// SPDX-License-Identifier: Apache-2.0
// A program for containers that says how the kernel schedules it: one line "name: value ..." for each attribute.
#include <linux/keyctl.h>
#include <linux/sched/types.h>
#include <stdio.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

enum { WHO_PROCESS = 1, PROCESSORS = 8192, NODES = 1024, WORD = 8 * sizeof(unsigned long) };

static void say_scheduler(void) {
    struct sched_attr attributes = {0};
    if (syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0)) return;
    printf("scheduler: %u %llu %d %u %llu %llu %llu\n", attributes.sched_policy, attributes.sched_flags,
           attributes.sched_nice, attributes.sched_priority, attributes.sched_runtime, attributes.sched_deadline,
           attributes.sched_period);
}

static void say_io_priority(void) {
    long priority = syscall(SYS_ioprio_get, WHO_PROCESS, 0);
    printf("io: %ld %ld\n", priority >> 13, priority & 0x1fff);
}

static void say_bits(const char *name, const unsigned long *bits, unsigned count) {
    printf("%s:", name);
    for (unsigned each = 0; each < count; each++)
        if (bits[each / WORD] >> each % WORD & 1) printf(" %u", each);
    printf("\n");
}

static void say_processors(void) {
    unsigned long bits[PROCESSORS / WORD] = {0};
    if (syscall(SYS_sched_getaffinity, 0, sizeof bits, bits) > 0) say_bits("processors", bits, PROCESSORS);
}

static void say_memory_policy(void) {
    unsigned long bits[NODES / WORD] = {0};
    int mode;
    if (syscall(SYS_get_mempolicy, &mode, bits, NODES + 1UL, 0, 0)) return;
    printf("memory: %d\n", mode);
    say_bits("nodes", bits, NODES);
}

static void say_personality(void) {
    struct utsname names;
    uname(&names);
    printf("personality: %d %s\n", personality(0xffffffff), names.machine);
}

// The label of the session keyring (SELinux), or nothing.
static void say_keyring(void) {
    char label[256] = "";
    if (syscall(SYS_keyctl, KEYCTL_GET_SECURITY, KEY_SPEC_SESSION_KEYRING, label, sizeof label - 1) < 0) return;
    printf("keyring: %s\n", label);
}

int main(void) {
    mode_t mask = umask(0);
    say_scheduler();
    say_io_priority();
    say_processors();
    say_memory_policy();
    say_personality();
    say_keyring();
    printf("umask: %04o\n", mask);
    return 0;
}
