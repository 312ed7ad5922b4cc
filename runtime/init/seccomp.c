// SPDX-License-Identifier: Apache-2.0
// The seccomp filter, and the descriptor by which an agent outside decides about system calls that it notifies of.
//
// That descriptor is there when the filter is, and the filter may hold up every call that could hand it over. So a
// second thread, which the filter does not bind, gives it to pyrun; meanwhile the filtered one makes no system call.
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "init.h"

enum { PENDING = -1, REFUSED = -2 };
// Beside the flags of seccomp(2), as pyrun/plan/process.py gives it: the filter allows to give up CAP_SYS_ADMIN, which
// only the loading takes.
static const uint64_t THEN_GIVE_UP_ADMIN = 1ULL << 63;

// In static memory: the second thread may outlive the call that starts it.
static struct {
    const struct stage *stage;
    int answer[2];        // a pipe: the second thread writes when it runs, pyrun when the agent has the descriptor
    atomic_int listener;  // what seccomp(2) has returned
    atomic_bool delivered;
} handover;

static long load(const struct seccomp_filter *filter) {
    struct sock_fprog program = {.len = (unsigned short)(filter->program.length / sizeof(struct sock_filter)),
                                 .filter = (struct sock_filter *)(uintptr_t)filter->program.data};
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, filter->flags & ~THEN_GIVE_UP_ADMIN, &program);
}

// A real-time thread that waits without pause leaves its processor to no other of its class; but the kernel keeps a
// part of the time for the ordinary ones.
static void leave_real_time(void) {
    struct sched_param parameters = {0};
    syscall(SYS_sched_setscheduler, 0, SCHED_OTHER, &parameters);
}

// While the agent takes its time, who has CAP_SYS_PTRACE in the container can trace both threads. What loading takes
// without no_new_privs must not be theirs; the second one, which no filter binds, needs nothing at all.
static int keep_capabilities(uint32_t kept) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    if (syscall(SYS_capget, &header, data)) return -1;
    const uint32_t masks[] = {kept, kept ? UINT32_MAX : 0};
    for (int i = 0; i < 2; i++) {
        data[i].effective &= masks[i];
        data[i].permitted &= masks[i];
    }
    return (int)syscall(SYS_capset, &header, data);
}

static bool deliver(int listener) {
    const int descriptors[] = {listener, handover.answer[1]};
    char byte;
    if (report_with_descriptors(handover.stage, "listener", descriptors, 2)) return false;
    close(handover.answer[1]);
    return read(handover.answer[0], &byte, 1) == 1;
}

static void *hand_over(void *unused) {
    char ready = 0;
    int listener;
    leave_real_time();
    if (keep_capabilities(0)) _exit(1);
    if (write(handover.answer[1], &ready, 1) != 1) _exit(1);
    while ((listener = atomic_load(&handover.listener)) == PENDING) sched_yield();
    if (listener == REFUSED) return unused;
    // Ends both threads: the program is not to run when nobody decides about its calls.
    if (!deliver(listener)) _exit(1);
    close(listener);
    close(handover.answer[0]);
    atomic_store(&handover.delivered, true);
    return unused;
}

static void relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static int start_second_thread(const struct stage *stage) {
    pthread_attr_t attributes;
    pthread_t thread;
    char ready;
    handover.stage = stage;
    atomic_store(&handover.listener, PENDING);
    if (pipe2(handover.answer, O_CLOEXEC)) return errno;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    int error = pthread_create(&thread, &attributes, hand_over, NULL);
    if (!error && read(handover.answer[0], &ready, 1) != 1) error = EIO;
    return error;
}

// Returns 0, or the reason why not. It returns only when the agent has the descriptor.
static int load_with_listener(const struct stage *stage, const struct seccomp_filter *filter) {
    int error = start_second_thread(stage);
    if (error) return error;
    long listener = load(filter);
    error = listener < 0 ? errno : 0;
    atomic_store(&handover.listener, listener < 0 ? REFUSED : (int)listener);
    if (!error && filter->flags & THEN_GIVE_UP_ADMIN && keep_capabilities(~(1U << CAP_SYS_ADMIN))) error = errno;
    while (!error && !atomic_load(&handover.delivered)) relax();
    return error;
}

// Returns 0, or the reason why not.
static int apply(const struct stage *stage, const struct seccomp_filter *filter) {
    if (filter->flags & SECCOMP_FILTER_FLAG_NEW_LISTENER) return load_with_listener(stage, filter);
    long result = load(filter);
    return result < 0 ? errno : result > 0 ? EBUSY : 0;
}

// For hooks that come from the image: each loads it into its own process, so that the init itself is not filtered yet.
int keep_seccomp_for_hooks(struct stage *stage, const union argument *arguments) {
    stage->filter_of_hooks = (struct seccomp_filter){arguments[0].number, arguments[1].bytes};
    return 0;
}

int filter_hook(const struct stage *stage) {
    return stage->filter_of_hooks.program.length ? apply(stage, &stage->filter_of_hooks) : 0;
}

int load_seccomp(struct stage *stage, const union argument *arguments) {
    const struct seccomp_filter filter = {arguments[0].number, arguments[1].bytes};
    int error = apply(stage, &filter);
    return error ? fail(stage, error, "load the seccomp filter") : 0;
}
