/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/base/outlet.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* Opened anew, it has flags of its own.  The master of a terminal would be another one. */
static int can_open_anew(int fd)
{
    struct stat found;
    char name[PATH_MAX];
    return fstat(fd, &found) == 0 &&
           (S_ISFIFO(found.st_mode) || (isatty(fd) && ptsname_r(fd, name, sizeof name) != 0));
}

int hx_outlet_open(int fd)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int own = can_open_anew(fd) ? open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC) : -1;
    if (own < 0)
        own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    return own < 0 ? -errno : own;
}

ssize_t hx_outlet_write(int outlet, const void *bytes, size_t size)
{
    ssize_t n = send(outlet, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    /* One that could not be opened anew takes so much without blocking (pipe(7), PIPE_BUF). */
    if (n < 0 && errno == ENOTSOCK)
        n = write(outlet, bytes, size < PIPE_BUF ? size : PIPE_BUF);
    return n < 0 ? -errno : n;
}
