// SPDX-License-Identifier: Apache-2.0
// A program for containers that uses what cgroups limit, as its words say, one after the other:
//
//   memory:N            take N MiB of memory, and keep it
//   huge:N              take N MiB of huge pages of 2 MiB, and use them; again without a reservation
//   spin                compute for ever
//   bomb:N              fork in all children too, up to N times altogether, and go on trying
//   count:FILE          add to the number in the first eight bytes of a file for ever
//   read:SIZE:MS:FILE   read blocks past the cache for so many milliseconds
//   write:SIZE:MS:FILE  write them
//   cpus:MS             compute for so many milliseconds, and say on which CPUs that was
//   devices:DIRECTORY   for each line "c|b MAJOR MINOR r|w|rw|m" of standard input say what the kernel has against that
//   wait                sleep until a signal comes
//
// Each but the endless ones writes a line to standard output. `devices` opens nodes by names like c-1-3.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#define MEBIBYTE (1UL << 20)
#define BOMB_SECONDS 60

static void say(const char *what, long value) {
    printf("%s %ld\n", what, value);
    fflush(stdout);
}

static _Noreturn void give_up(const char *what) {
    say(what, errno);
    exit(1);
}

static long microseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void rest(long milliseconds) {
    nanosleep(&(struct timespec){.tv_nsec = milliseconds * 1000000}, NULL);
}

static void *map(size_t size, int flags, int descriptor) {
    return mmap(NULL, size, PROT_READ | PROT_WRITE, flags, descriptor, 0);
}

static void take_memory(size_t mebibytes) {
    char *memory = map(mebibytes * MEBIBYTE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    if (memory == MAP_FAILED) give_up("memory error");
    memset(memory, 1, mebibytes * MEBIBYTE);
    say("memory", (long)mebibytes);
}

static sigjmp_buf refused;

static void jump(int signal) {
    siglongjmp(refused, signal);
}

static void take_huge_pages(size_t mebibytes, const char *what, int flags) {
    char *memory = map(mebibytes * MEBIBYTE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | flags, -1);
    char words[64];
    if (memory == MAP_FAILED) {
        snprintf(words, sizeof words, "%s: mmap error", what);
        say(words, errno);
        return;
    }
    signal(SIGBUS, jump);
    int caught = sigsetjmp(refused, 1);
    if (!caught) memset(memory, 1, mebibytes * MEBIBYTE);
    snprintf(words, sizeof words, "%s: signal", what);
    say(words, caught);
    munmap(memory, mebibytes * MEBIBYTE);
}

static void bomb(long most) {
    long *forks = map(sizeof *forks, MAP_SHARED | MAP_ANONYMOUS, -1);
    if (forks == MAP_FAILED) give_up("bomb error");
    alarm(BOMB_SECONDS);
    while (__atomic_load_n(forks, __ATOMIC_SEQ_CST) < most) {
        pid_t pid = fork();
        if (pid > 0) __atomic_add_fetch(forks, 1, __ATOMIC_SEQ_CST);
        if (pid == 0) alarm(BOMB_SECONDS);
        if (pid < 0) rest(20);
    }
    for (;;) pause();
}

static _Noreturn void count(const char *path) {
    int descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (descriptor < 0 || ftruncate(descriptor, sizeof(uint64_t))) give_up("count error");
    volatile uint64_t *number = map(sizeof *number, MAP_SHARED, descriptor);
    if (number == MAP_FAILED) give_up("count error");
    for (;; rest(1)) ++*number;
}

// The first block is not in the figures: until it is through, the kernel owes it the time before.
static void transfer(char *words, int writes) {
    size_t size = strtoul(strtok(words, ":"), NULL, 10);
    long duration = 1000 * atol(strtok(NULL, ":"));
    const char *path = strtok(NULL, "");
    int descriptor = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
    void *block = aligned_alloc(4096, size);
    if (descriptor < 0 || !block) give_up("transfer error");
    off_t end = lseek(descriptor, 0, SEEK_END), position = 0;
    long begin = 0, now = 0, blocks = -1;
    memset(block, 0, size);
    do {
        ssize_t done = writes ? pwrite(descriptor, block, size, position) : pread(descriptor, block, size, position);
        if (done != (ssize_t)size) give_up("transfer error");
        position = (position + (off_t)size) % (end - (off_t)size);
        now = microseconds();
        if (++blocks == 0) begin = now;
    } while (now - begin < duration);
    printf("%s %ld %ld\n", writes ? "write" : "read", blocks, now - begin);
    fflush(stdout);
}

static void say_cpus(long milliseconds) {
    cpu_set_t seen;
    CPU_ZERO(&seen);
    long end = microseconds() + 1000 * milliseconds;
    while (microseconds() < end) CPU_SET((size_t)sched_getcpu(), &seen);
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &seen)) say("ran on", (long)cpu);
}

static int try_device(const char *kind, unsigned major, unsigned minor, const char *access) {
    char path[64] = "new";
    if (*access == 'm') {
        mode_t type = *kind == 'c' ? S_IFCHR : S_IFBLK;
        return mknod(path, type | 0600, makedev(major, minor)) || unlink(path) ? errno : 0;
    }
    snprintf(path, sizeof path, "%s-%u-%u", kind, major, minor);
    int mode = !strcmp(access, "rw") ? O_RDWR : *access == 'w' ? O_WRONLY : O_RDONLY;
    int descriptor = open(path, mode | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (descriptor < 0) return errno;
    close(descriptor);
    return 0;
}

static void try_devices(const char *directory) {
    char kind[2], access[3];
    unsigned major, minor;
    if (chdir(directory)) give_up("devices error");
    while (scanf("%1s %u %u %2s", kind, &major, &minor, access) == 4)
        say("error", try_device(kind, major, minor, access));
}

static char *argument(char *word, const char *action) {
    size_t length = strlen(action);
    return strncmp(word, action, length) ? NULL : word + length;
}

static void act(char *word) {
    char *text;
    if ((text = argument(word, "memory:"))) take_memory(strtoul(text, NULL, 10));
    else if ((text = argument(word, "huge:"))) {
        take_huge_pages(strtoul(text, NULL, 10), "reserved", 0);
        take_huge_pages(strtoul(text, NULL, 10), "unreserved", MAP_NORESERVE);
    } else if ((text = argument(word, "bomb:"))) bomb(atol(text));
    else if ((text = argument(word, "count:"))) count(text);
    else if ((text = argument(word, "read:"))) transfer(text, 0);
    else if ((text = argument(word, "write:"))) transfer(text, 1);
    else if ((text = argument(word, "cpus:"))) say_cpus(atol(text));
    else if ((text = argument(word, "devices:"))) try_devices(text);
    else if (!strcmp(word, "spin")) for (volatile long i = 0;; i++) {}
    else if (!strcmp(word, "wait")) pause();
    else abort();
}

int main(int count, char **words) {
    for (int i = 1; i < count; i++) act(words[i]);
    return 0;
}
