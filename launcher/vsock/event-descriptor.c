/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/vsock/event-descriptor.h"

#include <errno.h>
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "launcher/base/fd.h"

int hx_event_descriptor_check(int fd)
{
    static const char kind[] = "anon_inode:[eventfd]";
    char link[sizeof "/proc/self/fd/-2147483648"], target[sizeof kind + 1];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, target, sizeof target);
    if (length < 0)
        return -errno;
    if ((size_t)length != strlen(kind) || memcmp(target, kind, length) != 0)
        return -EBADFD;
    return hx_set_nonblocking(fd, true);
}

void hx_event_descriptor_signal(int fd)
{
    if (fd < 0)
        return;
    /* A full counter has its reader's attention already. */
    uint64_t one = 1;
    ssize_t ignored G_GNUC_UNUSED = write(fd, &one, sizeof one);
}
