/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The host's side by Unix sockets: clients that say CONNECT, listeners for the guest.
 *
 * PATH, SOCK_STREAM                a client writes "CONNECT <port>\n", reads "OK <port>\n", and is
 *                                  connected to the guest's port; any other answer is the end
 * PATH_seqpacket, SOCK_SEQPACKET   the same for messages: the first one is "CONNECT <port>", its
 *                                  newline may be left out, and "OK <port>\n" is a message
 * PATH_<port>                      a program's listener for the guest's connections to that port;
 *                                  its type decides which it takes, streams or messages */
#pragma once

#include <stdint.h>

#include "launcher/vsock/events.h"

/* Clients that have connected and not said where to yet; one more, and the oldest is closed. */
#define HX_HOST_CLIENTS_MAX 256

typedef struct HxHostSockets HxHostSockets;

/* What is added to the path for clients with messages. */
#define HX_HOST_SEQPACKET_SUFFIX "_seqpacket"

/* Takes over a client's descriptor of @type (SOCK_STREAM, SOCK_SEQPACKET), non-blocking and read up
 * to the end of its "CONNECT <port>". */
typedef void (*HxHostConnect)(void *data, int fd, int type, uint32_t port);

/* Listen at @path and @path_seqpacket, mode 0600, in place of sockets that an earlier process left.
 * Returns NULL with *ret_error, a negative errno. */
HxHostSockets *hx_host_sockets_new(HxEvents *events, const char *path, HxHostConnect connect,
                                   void *data, int *ret_error);

/* Also removes the sockets' files. */
void hx_host_sockets_free(HxHostSockets *sockets);

/* Connect to the listener for the guest's connections of @type to @port, at PATH_PORT.  Returns a
 * non-blocking descriptor of the caller's, or a negative errno (-ENOENT, -ECONNREFUSED: nobody
 * listens; -EPROTOTYPE: somebody does, for the other type; -EAGAIN: its backlog is full). */
int hx_host_sockets_connect(const HxHostSockets *sockets, int type, uint32_t port);

/* Read "CONNECT <port>" with its newline taken off: 1 to 4294967295, decimal, nothing else on the
 * line.  Returns 0 or -EINVAL. */
int hx_host_parse_connect(const char *line, uint32_t *ret_port);
