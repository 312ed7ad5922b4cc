// SPDX-License-Identifier: Apache-2.0
// The record of the container's init in the state directory, "PID STARTTIME CREATED", and the start time that makes a
// pid unique.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "init.h"

enum { TICKS_PER_SECOND = 100 };  // USER_HZ, on every architecture that pyrun supports

// In a joined time namespace the outer stage sees start times shifted; pyrun, outside, does not.
static long long shift_of_start_times(const struct stage *stage) {
    char text[256];
    if (!stage->joined_time || read_small_file(stage->proc, "self/timens_offsets", text, sizeof text)) return 0;
    char *field = strstr(text, "boottime");
    if (!field) return 0;
    long long seconds = strtoll(field + strlen("boottime"), &field, 10);
    return seconds * TICKS_PER_SECOND + strtoll(field, NULL, 10) / (1000000000 / TICKS_PER_SECOND);
}

// Fields of /proc/PID/stat (proc(5)) are counted from behind the command's name, which can hold anything.
static const char *stat_field(const char *text, int wanted) {
    const char *field = strrchr(text, ')');
    for (int number = 2; field && number < wanted; number++) field = strchr(field + 1, ' ');
    return field ? field + 1 : "";
}

int start_time(const struct stage *stage, pid_t process, long long *ticks) {
    char path[64], text[1024];
    snprintf(path, sizeof path, "%d/stat", process);
    if (read_small_file(stage->proc, path, text, sizeof text)) return -1;
    *ticks = strtoll(stat_field(text, 22), NULL, 10) - shift_of_start_times(stage);
    return 0;
}

int write_process_record(struct stage *stage, pid_t process, long long ticks) {
    char record[96];
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int length = snprintf(record, sizeof record, "%d %lld %lld.%09ld\n", process, ticks, (long long)now.tv_sec,
                          now.tv_nsec);
    int file = openat(stage->state, "process.new", O_CREAT | O_TRUNC | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (file < 0) return fail(stage, errno, "make the process record");
    ssize_t written = write(file, record, (size_t)length);
    int error = written < 0 ? errno : ENOSPC;
    close(file);
    if (written != length) return fail(stage, error, "write the process record");
    if (renameat(stage->state, "process.new", stage->state, "process"))
        return fail(stage, errno, "rename the process record");
    return 0;
}
