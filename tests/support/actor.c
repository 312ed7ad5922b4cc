// SPDX-License-Identifier: Apache-2.0
// A program for containers that does what its words say, one after the other:
//
//   notify:TEXT   send one datagram to the socket that NOTIFY_SOCKET names
//   hand:TEXT     the same, with standard input as a descriptor
//   large:N       the same, with READY=1 and N further bytes
//   flood:N       send N datagrams without a wait for anybody who reads
//   accept:FD     accept a connection on a descriptor, and write its pid and LISTEN_PID there
//   read          wait for a byte, or the end, of standard input
//   say:TEXT      write a line to standard output
//   wait          sleep until a signal comes
//   exit:N        end with a status
//
// What fails is a line on standard output with the number of the error.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int sender = -1;

static const char *argument(const char *word, const char *action) {
    size_t length = strlen(action);
    return strncmp(word, action, length) ? NULL : word + length;
}

static void check(long result, const char *what) {
    if (result < 0) printf("%s: error %d\n", what, errno);
    fflush(stdout);
}

static int connection(void) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *path = getenv("NOTIFY_SOCKET");
    if (sender >= 0) return sender;
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path ? path : "");
    sender = socket(AF_UNIX, SOCK_DGRAM, 0);
    check(connect(sender, (struct sockaddr *)&address, sizeof address), "connect");
    return sender;
}

static void hand_over(const char *text) {
    char control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec data = {(char *)text, strlen(text)};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    *header = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(header), &(int){STDIN_FILENO}, sizeof(int));
    check(sendmsg(connection(), &message, 0), "hand");
}

static void send_large(size_t size) {
    char *text = malloc(size + 8);
    if (!text) abort();
    memcpy(text, "READY=1\n", 8);
    memset(text + 8, 'x', size);
    check(send(connection(), text, size + 8, 0), "large");
    free(text);
}

static void flood(long count) {
    for (long i = 0; i < count; i++) (void)!send(connection(), "STATUS=flood", 12, MSG_DONTWAIT);
}

static void serve_one(int listener) {
    int client = accept(listener, NULL, NULL);
    check(client, "accept");
    dprintf(client, "%d %s\n", getpid(), getenv("LISTEN_PID"));
    close(client);
}

static void act(const char *word) {
    const char *text;
    char byte;
    if ((text = argument(word, "notify:"))) check(send(connection(), text, strlen(text), 0), "notify");
    else if ((text = argument(word, "hand:"))) hand_over(text);
    else if ((text = argument(word, "large:"))) send_large((size_t)atol(text));
    else if ((text = argument(word, "flood:"))) flood(atol(text));
    else if ((text = argument(word, "accept:"))) serve_one(atoi(text));
    else if ((text = argument(word, "say:"))) check(printf("%s\n", text), "say");
    else if ((text = argument(word, "exit:"))) exit(atoi(text));
    else if (!strcmp(word, "read")) check(read(STDIN_FILENO, &byte, 1), "read");
    else if (!strcmp(word, "wait")) pause();
    else abort();
}

int main(int count, char **words) {
    for (int i = 1; i < count; i++) act(words[i]);
    return 0;
}
