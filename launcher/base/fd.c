/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/base/fd.h"

#include <fcntl.h>
#include <sys/socket.h>

int hx_read_all(int fd, void *buffer, size_t size)
{
    char *next = buffer;
    size_t left = size;
    while (left > 0) {
        ssize_t n = read(fd, next, left);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            return left == size ? -ENODATA : -EPIPE;
        next += n;
        left -= n;
    }
    return 0;
}

int hx_write_all(int fd, const void *buffer, size_t size)
{
    const char *next = buffer;
    while (size > 0) {
        ssize_t n = send(fd, next, size, MSG_NOSIGNAL);
        if (n < 0 && errno == ENOTSOCK)
            n = write(fd, next, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        next += n;
        size -= n;
    }
    return 0;
}

int hx_set_nonblocking(int fd, int nonblocking)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0)
        return -errno;
    flags = nonblocking ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
    return fcntl(fd, F_SETFL, flags) < 0 ? -errno : 0;
}
