// SPDX-License-Identifier: Apache-2.0
// What the container's namespaces answer for: names, kernel parameters, the loopback interface.
#include <errno.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <fcntl.h>

#include "init.h"

int set_hostname(struct stage *stage, const union argument *arguments) {
    const char *name = arguments[0].string;
    return sethostname(name, strlen(name)) ? fail(stage, errno, "set the host name") : 0;
}

int set_domainname(struct stage *stage, const union argument *arguments) {
    const char *name = arguments[0].string;
    return setdomainname(name, strlen(name)) ? fail(stage, errno, "set the domain name") : 0;
}

int write_sysctl(struct stage *stage, const union argument *arguments) {
    const char *path = arguments[0].string, *value = arguments[1].string;
    int file = open_procfs(stage, path, O_WRONLY);
    if (file < 0) return fail(stage, errno, "open /proc/%s", path);
    ssize_t written = write(file, value, strlen(value));
    int error = errno;
    close(file);
    return written == (ssize_t)strlen(value) ? 0 : fail(stage, written < 0 ? error : EINVAL, "write \"%s\" to /proc/%s", value, path);
}

int loopback_up(struct stage *stage, const union argument *arguments) {
    (void)arguments;
    struct ifreq request = {.ifr_name = "lo"};
    int handle = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (handle < 0) return fail(stage, errno, "open a socket");
    int error = ioctl(handle, SIOCGIFFLAGS, &request) ? errno : 0;
    request.ifr_flags |= IFF_UP;
    if (!error && ioctl(handle, SIOCSIFFLAGS, &request)) error = errno;
    close(handle);
    return error ? fail(stage, error, "bring the loopback interface up") : 0;
}
