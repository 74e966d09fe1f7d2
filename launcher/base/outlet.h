/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Writing to a descriptor that others share, stdout above all, without ever blocking on who reads
 * it, and without setting O_NONBLOCK for the others too. */
#pragma once

#include <sys/types.h>

/* Returns a descriptor to what @fd writes to, close-on-exec and the caller's own, or a negative
 * errno.  It is non-blocking for pipes and terminals that may be opened anew. */
int hx_outlet_open(int fd);

/* Write as much of the @size bytes as @outlet has room for.  Raises no SIGPIPE on a socket. Returns
 * how much that was, or a negative errno: -EAGAIN where there is no room now, see poll(2). */
ssize_t hx_outlet_write(int outlet, const void *bytes, size_t size);
