/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One viewer of the session: a WebSocket, and the frames that wait for it. */
#pragma once

#include "guest-provision/session/gop.h"

#include <libsoup/soup.h>

typedef struct SessionViewer SessionViewer;

/* What a viewer asks of the stream; 0: the session's own. */
typedef struct {
    int fps;
    int bitrate; /* kbit/s */
} SessionWish;

/* All are called in the main thread. */
typedef struct {
    /* The viewer has asked for the stream. */
    void (*joined)(SessionViewer *viewer, const HxStreamRequest *request, void *data);
    /* It needs a keyframe to go on. */
    void (*needs_keyframe)(SessionViewer *viewer, void *data);
    /* The latency that pongs tell, ms. */
    guint16 (*encoder_latency)(void *data);
    /* It is gone, and is to be freed. */
    void (*left)(SessionViewer *viewer, void *data);
    void *data;
} SessionViewerEvents;

/* A viewer at the other end of @socket, of which it takes a reference.  One that answers no ping
 * for 15 s is gone, also where its socket is full. */
SessionViewer *session_viewer_new(SoupWebsocketConnection *socket,
                                  const SessionViewerEvents *events);
/* Close the connection and free.  NULL is fine. */
void session_viewer_free(SessionViewer *viewer);

/* Answer a request that joined: the stream is of @init's codec and size.  Frames follow: those of
 * @gop at once, as a replay; where there are none, from the next keyframe on, which is asked for.
 */
void session_viewer_welcome(SessionViewer *viewer, const HxStreamInit *init, const SessionGop *gop);

/* Send a viewer that was welcomed a text message: at once, before the frames that wait. */
void session_viewer_tell(SessionViewer *viewer, const char *text);

/* Queue one encoded VideoFrame.  Where more wait than a viewer may have, they are dropped, and so
 * is everything up to the next keyframe, which is asked for once the viewer takes data again. */
void session_viewer_send_frame(SessionViewer *viewer, GBytes *message, gboolean is_keyframe);

/* Say why there is no stream (any more), and close. */
void session_viewer_fail(SessionViewer *viewer, const char *reason);

/* What it asked for; nothing before it joined. */
SessionWish session_viewer_wish(const SessionViewer *viewer);

/* Whether it was welcomed. */
gboolean session_viewer_has_joined(const SessionViewer *viewer);

/* Frames that were dropped because the viewer is slow. */
guint64 session_viewer_dropped(const SessionViewer *viewer);
