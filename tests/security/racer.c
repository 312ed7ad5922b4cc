// SPDX-License-Identifier: Apache-2.0
// Changes names in a directory without pause, as a container does that shares a volume or an image with the one that
// is being created. It ends with its parent.
//
// racer exchange DIRECTORY (NAME OTHER)...   each NAME changes places with OTHER (RENAME_EXCHANGE of renameat2(2))
// racer toggle DIRECTORY (NAME TARGET)...    each NAME is now missing, now a link to TARGET
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static void exchange(int directory, const char *name, const char *other) {
    renameat2(directory, name, directory, other, RENAME_EXCHANGE);
}

// Whatever the runtime has made in the meantime goes too.
static void toggle(int directory, const char *name, const char *target) {
    (void)!symlinkat(target, directory, name);
    if (unlinkat(directory, name, 0)) unlinkat(directory, name, AT_REMOVEDIR);
}

int main(int count, char **words) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int directory = count > 4 ? open(words[2], O_RDONLY | O_DIRECTORY) : -1;
    if (directory < 0) return perror("racer"), 1;
    void (*change)(int, const char *, const char *) = strcmp(words[1], "toggle") ? exchange : toggle;
    for (long rounds = 0;; rounds++) {
        for (int i = 3; i + 1 < count; i += 2) change(directory, words[i], words[i + 1]);
        if (!rounds) dprintf(STDOUT_FILENO, "racing\n");
    }
}
