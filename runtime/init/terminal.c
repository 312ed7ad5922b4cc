// SPDX-License-Identifier: Apache-2.0
// The container's terminal: a pseudo-terminal of its own devpts, whose master pyrun gets. The image's owner chooses what
// stands at the paths, so each descriptor is looked at before it is used, and no path is used twice (CVE-2025-52565).
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <termios.h>
#include <unistd.h>

#include "init.h"
#include "mountapi.h"

#ifndef TIOCGPTPEER
#define TIOCGPTPEER _IO('T', 0x41)
#endif

static int open_if_multiplexer(const struct stage *stage, uint64_t flags) {
    int file = open_beneath(stage, "/dev/ptmx", flags, 0);
    struct stat status;
    if (file < 0 || (!fstat(file, &status) && S_ISCHR(status.st_mode) && status.st_rdev == makedev(5, 2))) return file;
    close(file);
    errno = ENODEV;
    return -1;
}

// Looked at first, because opening alone makes some files wait, and some devices act.
static int open_multiplexer(const struct stage *stage) {
    int place = open_if_multiplexer(stage, O_PATH);
    if (place < 0) return -1;
    close(place);
    return open_if_multiplexer(stage, O_RDWR | O_NOCTTY);
}

// The kernel itself opens the slave, wherever a path may lead; it is one of the devpts that the master is of.
static int open_slave(int master) {
    int unlocked = 0;
    struct statfs system;
    if (ioctl(master, TIOCSPTLCK, &unlocked)) return -1;
    int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave < 0 || (!fstatfs(slave, &system) && system.f_type == DEVPTS_SUPER_MAGIC)) return slave;
    close(slave);
    errno = ENODEV;
    return -1;
}

static int prepare_terminal(struct stage *stage, int master, const union argument *arguments) {
    struct winsize size = {.ws_row = (unsigned short)arguments[0].number, .ws_col = (unsigned short)arguments[1].number};
    if (size.ws_row && size.ws_col && ioctl(master, TIOCSWINSZ, &size))
        return fail(stage, errno, "set the size of the terminal");
    stage->terminal = open_slave(master);
    if (stage->terminal < 0) return fail(stage, errno, "open the terminal");
    if (fchown(stage->terminal, (uid_t)arguments[2].number, (gid_t)-1) && errno != EINVAL && errno != EPERM)
        return fail(stage, errno, "give the terminal to user %u", (unsigned)arguments[2].number);
    return report_with_descriptors(stage, "terminal", &master, 1) ? fail(stage, errno, "hand over the terminal") : 0;
}

int open_terminal(struct stage *stage, const union argument *arguments) {
    int master = open_multiplexer(stage);
    if (master < 0) return fail(stage, errno, "open /dev/ptmx");
    int result = prepare_terminal(stage, master, arguments);
    close(master);
    return result;
}

// Opens what stands at /dev/console without following a link; a file is made where there is nothing.
static int open_console(const struct stage *stage) {
    const char *name;
    int parent = make_parent_beneath(stage, "/dev/console", &name);
    if (parent < 0) return -1;
    int made = openat(parent, name, O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC | O_WRONLY, 0600);
    int console = made < 0 && errno != EEXIST ? -1 : openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    int error = errno;
    close_descriptor(&made);
    close(parent);
    struct stat status;
    if (console >= 0 && !fstat(console, &status) && S_ISLNK(status.st_mode)) {
        close_descriptor(&console);
        error = ELOOP;
    }
    errno = error;
    return console;
}

int bind_console(struct stage *stage, const union argument *arguments) {
    (void)arguments;
    int console = open_console(stage);
    if (console < 0) return fail(stage, errno, "make /dev/console");
    int tree = tree_open(stage->terminal, "", OPEN_TREE_CLONE);
    int result = tree < 0 || tree_attach(tree, console) ? fail(stage, errno, "bind the terminal on /dev/console") : 0;
    close_descriptor(&tree);
    close(console);
    return result;
}

int attach_terminal(struct stage *stage, const union argument *arguments) {
    (void)arguments;
    if (ioctl(stage->terminal, TIOCSCTTY, 0)) return fail(stage, errno, "make the terminal the controlling one");
    for (int descriptor = STDIN_FILENO; descriptor <= STDERR_FILENO; descriptor++)
        if (dup3(stage->terminal, descriptor, 0) < 0) return fail(stage, errno, "attach the terminal");
    close_descriptor(&stage->terminal);
    return 0;
}
