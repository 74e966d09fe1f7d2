/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where viewers come in: HTTP on a listening socket, WebSocket at /ws/stream, JSON at /statistics.
 */
#pragma once

#include "guest-provision/session/stream-protocol.h"
#include "guest-provision/session/viewer.h"

typedef struct SessionServer SessionServer;

/* All are called in the main thread. */
typedef struct {
    /* What the stream is. */
    void (*describe)(HxStreamInit *ret_init, void *data);
    /* The body of /statistics, for g_free. */
    char *(*statistics)(void *data);
    /* Somebody needs a keyframe. */
    void (*needs_keyframe)(void *data);
    /* The viewers that have asked for the stream are others: how many, and the most that one of
     * them asks for, which is the session's own where one asks for nothing. */
    void (*viewers_changed)(guint viewers, const SessionWish *wish, void *data);
    /* ms, for pongs */
    guint16 (*encoder_latency)(void *data);
    void *data;
} SessionServerEvents;

/* Listen on vsock at a port of the kernel's choice, which is *ret_port.  Returns the socket, owned
 * by the caller, or -1. */
int session_listen_vsock(guint32 *ret_port, GError **error);
/* The same on the Unix socket @path, for tests without vsock. */
int session_listen_unix(const char *path, GError **error);

/* Serve on @fd, a listening socket that the server takes over, @viewers_max viewers at once: one
 * more is told so and sent away. */
SessionServer *session_server_new(int fd, guint viewers_max, const SessionServerEvents *events);
void session_server_free(SessionServer *server);

/* Hand one frame to every viewer.  One that comes later than others begins with those since the
 * last keyframe, and the others need no new one. */
void session_server_send_frame(SessionServer *server, const HxStreamFrame *frame);

/* Tell every viewer, and those who come from now on, where the frames come from. */
void session_server_set_source(SessionServer *server, const HxStreamSource *source);

/* Frames that the viewers of now have missed because they were slow. */
guint64 session_server_dropped(const SessionServer *server);

/* Tell every viewer, and those who come from now on, that there is no stream and why. */
void session_server_fail(SessionServer *server, const char *reason);
