/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A session as libsoup's WebSocket server, at one end of a socket pair. */
#pragma once

#include <libsoup/soup.h>

#include "guest-provision/session/stream-protocol.h"

#define STREAM_PATH "/ws/stream"

/* What a viewer asks it for; it asserts on that. */
extern const HxStreamRequest stream_request;

typedef struct {
    /* after the viewer's first message, and with each one after it; in the server's thread */
    void (*begin)(SoupWebsocketConnection *connection);
    void (*message)(SoupWebsocketConnection *connection, GBytes *bytes);
    const char *statistics; /* what it tells of itself; NULL: "{}" */
    int fd;
    GThread *thread;
    GMainLoop *loop;
    SoupWebsocketConnection *connection;
    gboolean began;
    gint pongs; /* atomic: WebSocket pongs that came */
} StreamServer;

/* Serve one connection: STREAM_PATH, and GET of /statistics and of /big, 3 MiB; /private and
 * /forbidden are answered with 401 and 403.  Returns the
 * viewer's end. */
int stream_server_start(StreamServer *server);
void stream_server_stop(StreamServer *server);

/* Send a binary message; takes @bytes. */
void stream_server_send(SoupWebsocketConnection *connection, GBytes *bytes);
