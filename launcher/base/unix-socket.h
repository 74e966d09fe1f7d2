/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Unix stream and seqpacket sockets by path, unix(7). */
#pragma once

#include <sys/types.h>

/* The longest path that fits sockaddr_un with its terminating NUL. */
#define HX_UNIX_PATH_MAX 107

/* Create a listening socket of @type (SOCK_STREAM or SOCK_SEQPACKET, optionally with SOCK_NONBLOCK)
 * at @path, with permissions @mode from the first moment on.  A socket left there by an earlier
 * process is replaced; anything else there is not (-EEXIST).  Returns the descriptor, close-on-exec
 * and owned by the caller, or a negative errno (-ENAMETOOLONG beyond HX_UNIX_PATH_MAX). */
int hx_unix_listen(const char *path, int type, mode_t mode);

/* Connect to the listening socket of @type at @path.  With SOCK_NONBLOCK in @type, a full backlog
 * gives -EAGAIN at once.  Returns the descriptor, close-on-exec and owned by the caller, or a
 * negative errno. */
int hx_unix_connect(const char *path, int type);
