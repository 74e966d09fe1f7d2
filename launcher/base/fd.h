/* SPDX-License-Identifier: GPL-2.0-or-later */
/* File descriptors that close themselves, and whole reads and writes. */
#pragma once

#include <errno.h>
#include <stddef.h>
#include <sys/types.h>
#include <unistd.h>

/* Close *fd where it is open, keeping errno, and set it to -1. */
static inline void hx_close(int *fd)
{
    if (*fd >= 0) {
        int saved = errno;
        close(*fd);
        errno = saved;
    }
    *fd = -1;
}

/* A local variable that owns its file descriptor: `hx_autofd int fd = -1;` */
#define hx_autofd __attribute__((cleanup(hx_close)))

/* Hand the descriptor over to somebody else: returns it and leaves -1. */
static inline int hx_steal_fd(int *fd)
{
    int stolen = *fd;
    *fd = -1;
    return stolen;
}

/* Read exactly @size bytes from a blocking @fd.  Returns 0; -ENODATA where the file ended before
 * the first byte; -EPIPE where it ended after it; another negative errno. */
int hx_read_all(int fd, void *buffer, size_t size);

/* Write all @size bytes to a blocking @fd; raises no SIGPIPE on a socket.  Returns 0 or a negative
 * errno. */
int hx_write_all(int fd, const void *buffer, size_t size);

/* Set or clear O_NONBLOCK.  Returns 0 or a negative errno. */
int hx_set_nonblocking(int fd, int nonblocking);
