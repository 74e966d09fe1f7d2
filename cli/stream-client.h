/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A viewer of a session stream: WebSocket by libcurl, over a connection that already stands or to a
 * Helix server. */
#pragma once

#include <gio/gio.h>

#include "cli/helix-server.h"
#include "guest-provision/session/stream-protocol.h"

typedef struct HxStreamClient HxStreamClient;

/* What a session may send in one message; more breaks the connection off. */
#define HX_STREAM_MESSAGE_MAX (32 * 1024 * 1024)

/* Upgrade the connected stream socket @fd (RFC 6455), which is taken over also on failure, with
 * "GET @path", and ask for the stream of @request.  Waits at most @timeout seconds.  @cancel (or
 * NULL) interrupts this and hx_stream_client_next.  NULL with HX_ERROR_PROTOCOL (no WebSocket
 * there, with its HTTP status), HX_ERROR_ACCESS (HTTP status 401 or 403), HX_ERROR_CONNECTION (it
 * is lost), HX_ERROR_TIMEOUT, HX_ERROR_CANCELLED.  One thread at a time. */
HxStreamClient *hx_stream_client_new(int fd, const char *path, const HxStreamRequest *request,
                                     guint timeout, GCancellable *cancel, GError **error);
/* The same, by a connection to @server, which stays the caller's own and outlives the viewer.
 * Fails also as hx_helix_set_error says. */
HxStreamClient *hx_stream_client_new_helix(const HxHelixServer *server, const char *path,
                                           const HxStreamRequest *request, guint timeout,
                                           GCancellable *cancel, GError **error);
/* Says goodbye and closes. */
void hx_stream_client_free(HxStreamClient *client);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HxStreamClient, hx_stream_client_free)

typedef enum {
    HX_STREAM_EVENT_TIME,     /* @until is reached */
    HX_STREAM_EVENT_COMPLETE, /* ConnectionComplete: width, height */
    HX_STREAM_EVENT_INIT,     /* StreamInit: init */
    HX_STREAM_EVENT_FRAME,    /* frame, borrowed until the next call */
    HX_STREAM_EVENT_PONG,     /* the answer to a ping: pong */
    HX_STREAM_EVENT_SOURCE,   /* FrameSource: source, borrowed until the next call */
} HxStreamEventType;

typedef struct {
    HxStreamEventType type;
    union {
        struct {
            int width, height;
        };
        HxStreamInit init;
        HxStreamFrame frame;
        const HxStreamSource *source;
        struct {
            gint64 round_trip;     /* µs */
            guint encoder_latency; /* ms, as the session tells it; 0: it does not */
        } pong;
    };
} HxStreamEvent;

/* Wait for the next event, until the monotonic time @until in µs at the most.  Pings the session
 * every second; skips messages that a viewer does not show.  FALSE with HX_ERROR_PROTOCOL
 * (malformed), HX_ERROR_CONNECTION (closed, or lost), HX_ERROR_GUEST (StreamError, with its text),
 * HX_ERROR_CANCELLED; nothing but freeing is left to do then. */
gboolean hx_stream_client_next(HxStreamClient *client, gint64 until, HxStreamEvent *ret_event,
                               GError **error);

/* How long hx_stream_client_next has waited for messages, µs: never longer than it meant to at a
 * time, as one that is woken late could not run. */
gint64 hx_stream_client_waited(const HxStreamClient *client);

/* The body of "GET @path" over the connected socket @fd, taken over also on failure: at most 1 MiB,
 * for g_free, within @timeout seconds.  NULL with HX_ERROR_PROTOCOL (another HTTP status than 200
 * among it), HX_ERROR_ACCESS, HX_ERROR_CONNECTION, HX_ERROR_TIMEOUT, HX_ERROR_CANCELLED. */
char *hx_stream_get(int fd, const char *path, guint timeout, GCancellable *cancel, GError **error);
