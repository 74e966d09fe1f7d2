/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The host's side by Unix sockets: clients that say CONNECT at PATH, listeners at PATH_PORT. */
#pragma once

#include <stdint.h>

#include "launcher/vsock/events.h"

/* Clients that have connected and not said where to yet; one more, and the oldest is closed. */
#define HX_HOST_CLIENTS_MAX 256

typedef struct HxHostSockets HxHostSockets;

/* Listen at @path, mode 0600, in place of a socket that an earlier process left.  @connect takes
 * over each client's descriptor, non-blocking and read up to the end of its "CONNECT <port>" line.
 * Returns NULL with *ret_error, a negative errno. */
HxHostSockets *hx_host_sockets_new(HxEvents *events, const char *path,
                                   void (*connect)(void *data, int fd, uint32_t port), void *data,
                                   int *ret_error);

/* Also removes @path. */
void hx_host_sockets_free(HxHostSockets *sockets);

/* Connect to the listener for the guest's connections to @port, at PATH_PORT.  Returns a
 * non-blocking descriptor of the caller's, or a negative errno (-ENOENT, -ECONNREFUSED: nobody
 * listens; -EAGAIN: its backlog is full). */
int hx_host_sockets_connect(const HxHostSockets *sockets, uint32_t port);

/* Read "CONNECT <port>" with its newline taken off: 1 to 4294967295, decimal, nothing else on the
 * line.  Returns 0 or -EINVAL. */
int hx_host_parse_connect(const char *line, uint32_t *ret_port);
