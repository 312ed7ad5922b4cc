// SPDX-License-Identifier: Apache-2.0
// One message a report, on a seqpacket socket: to the pyrun that creates, later to the one that starts.
//
//   "pid PID"   "lost PID"   "hooks"   "created"   "hook"   "starting"
//   with descriptors: "terminal" (the master)   "listener" (of seccomp, and the end of a pipe for the answer)
//   "failed" | "warning", then NUL-separated: operation index, errno, operation name, JSON pointer, words
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "init.h"

// A starter that was killed must not take the container along (MSG_NOSIGNAL), and a seccomp filter that is loaded
// already may allow write(2) alone.
static int send_message(int descriptor, const char *message, size_t length) {
    ssize_t sent = send(descriptor, message, length, MSG_NOSIGNAL);
    if (sent < 0 && errno != EPIPE) sent = write(descriptor, message, length);
    return sent == (ssize_t)length ? 0 : -1;
}

static void describe(struct stage *stage, const char *kind, int error, const char *format, va_list words) {
    char message[1024];
    const struct step *step = &stage->step;
    int used = snprintf(message, sizeof message, "%s%c%u%c%d%c%s%c%.400s%c", kind, 0, step->index, 0, error, 0,
                        step->name ? step->name : "", 0, step->pointer ? step->pointer : "", 0);
    int more = vsnprintf(message + used, sizeof message - (size_t)used, format, words);
    size_t length = (size_t)used + (size_t)(more > 0 ? more : 0);
    if (length >= sizeof message) length = sizeof message - 1;
    if (stage->report >= 0) (void)!send_message(stage->report, message, length);
}

int fail(struct stage *stage, int error, const char *format, ...) {
    va_list words;
    va_start(words, format);
    describe(stage, "failed", error, format, words);
    va_end(words);
    return -1;
}

void warn(struct stage *stage, const char *format, ...) {
    va_list words;
    va_start(words, format);
    describe(stage, "warning", 0, format, words);
    va_end(words);
}

// What the plan itself has to say.
int log_warning(struct stage *stage, const union argument *arguments) {
    warn(stage, "%s", arguments[0].string);
    return 0;
}

int report(struct stage *stage, const char *format, ...) {
    char message[256];
    va_list words;
    va_start(words, format);
    int length = vsnprintf(message, sizeof message, format, words);
    va_end(words);
    return send_message(stage->report, message, (size_t)length);
}

int report_with_descriptors(const struct stage *stage, const char *message, const int *descriptors, size_t count) {
    enum { MOST = 2 };
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(MOST * sizeof(int))];
    } control = {0};
    size_t size = count * sizeof(int);
    struct iovec data = {(char *)(uintptr_t)message, strlen(message)};
    struct msghdr envelope = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = &control,
                              .msg_controllen = (socklen_t)CMSG_SPACE(size)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&envelope);
    header->cmsg_len = (socklen_t)CMSG_LEN(size);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    memcpy(CMSG_DATA(header), descriptors, size);
    return sendmsg(stage->report, &envelope, MSG_NOSIGNAL) < 0 ? -1 : 0;
}

int expect(int descriptor, const char *message) {
    char received[64];
    ssize_t length;
    do length = read(descriptor, received, sizeof received);
    while (length < 0 && errno == EINTR);
    return length == (ssize_t)strlen(message) && !memcmp(received, message, (size_t)length) ? 0 : -1;
}
