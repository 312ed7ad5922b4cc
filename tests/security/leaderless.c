// SPDX-License-Identifier: Apache-2.0
// Ends its first thread and goes on in another one: to who looks only at the process it is a zombie.
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

static void *go_on(void *unused) {
    (void)unused;
    dprintf(STDOUT_FILENO, "going on\n");
    while (pause()) continue;
    return NULL;
}

int main(void) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, go_on, NULL)) return 1;
    pthread_exit(NULL);
}
