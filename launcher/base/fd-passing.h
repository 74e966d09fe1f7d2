/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Data with file descriptors beside it over a Unix socket: SCM_RIGHTS of unix(7).  Any thread. */
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

/* At most so many with one message. */
#define HX_FDS_PASSED_MAX 8

/* Send @iov with @n_fds descriptors, which stay the caller's; @flags as for sendmsg(2), raises no
 * SIGPIPE.  Returns the bytes sent or a negative errno. */
ssize_t hx_send_fds(int socket, const struct iovec *iov, size_t n_iov, const int *fds,
                    unsigned n_fds, int flags);

/* Receive into @iov, and the descriptors that came with it, which are then the caller's and close
 * on exec, into @fds: there is room for *@n_fds, and *@n_fds are there then.  @flags as for
 * recvmsg(2).  Returns the bytes received, 0 where the other end has closed, or a negative errno,
 * all descriptors being closed: -E2BIG more descriptors than there is room for, -EMSGSIZE a packet
 * that is larger than @iov. */
ssize_t hx_receive_fds(int socket, const struct iovec *iov, size_t n_iov, int *fds, unsigned *n_fds,
                       int flags);
