/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/base/fd-passing.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "launcher/base/fd.h"

typedef union {
    struct cmsghdr align;
    char buffer[CMSG_SPACE(sizeof(int) * HX_FDS_PASSED_MAX)];
} Control;

ssize_t hx_send_fds(int socket, const struct iovec *iov, size_t n_iov, const int *fds,
                    unsigned n_fds, int flags)
{
    Control control = {0};
    struct msghdr msg = {.msg_iov = (struct iovec *)iov, .msg_iovlen = n_iov};
    if (n_fds > HX_FDS_PASSED_MAX)
        return -E2BIG;
    if (n_fds > 0) {
        msg.msg_control = &control;
        msg.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
        memcpy(CMSG_DATA(c), fds, sizeof(int) * n_fds);
    }
    ssize_t n;
    do
        n = sendmsg(socket, &msg, flags | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

/* Returns how many there are; those that there is no room for are closed. */
static unsigned take_fds(struct msghdr *msg, int *fds, unsigned room)
{
    unsigned taken = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        unsigned count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (unsigned i = 0; i < count; i++, taken++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            if (taken < room)
                fds[taken] = fd;
            else
                hx_close(&fd);
        }
    }
    return taken;
}

ssize_t hx_receive_fds(int socket, const struct iovec *iov, size_t n_iov, int *fds, unsigned *n_fds,
                       int flags)
{
    unsigned room = *n_fds;
    Control control;
    struct msghdr msg = {
        .msg_iov = (struct iovec *)iov,
        .msg_iovlen = n_iov,
        .msg_control = &control,
        .msg_controllen = sizeof control,
    };
    *n_fds = 0;
    ssize_t n;
    do
        n = recvmsg(socket, &msg, flags | MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    unsigned taken = take_fds(&msg, fds, room);
    int r = 0;
    if (taken > room || msg.msg_flags & MSG_CTRUNC)
        r = -E2BIG;
    else if (msg.msg_flags & MSG_TRUNC)
        r = -EMSGSIZE;
    if (r < 0) {
        for (unsigned i = 0; i < taken && i < room; i++)
            hx_close(&fds[i]);
        return r;
    }
    *n_fds = taken;
    return n;
}
