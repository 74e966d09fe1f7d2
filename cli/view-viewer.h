/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A browser's WebSocket, joined to a session's stream: helixvm makes the handshakes of both, and
 * from then on passes bytes on, so that a browser that is slow holds up the session's sending to it
 * alone, and the session then leaves frames out. */
#pragma once

#include <libsoup/soup.h>

typedef struct HxViewViewer HxViewViewer;

/* A connected socket of the session's, for hx_stream_connection_on; -1 with @error, whose message
 * the page shows.  Any thread. */
typedef int (*HxViewConnect)(void *data, GCancellable *cancel, GError **error);

/* Join @message, a request for a WebSocket that may have it, to what @connect leads to; @data is
 * other threads' until @gone was called.  Where there is no stream, the browser gets a StreamError
 * that says why.  @gone is called, later, once nothing of the viewer is left; @cancel ends it
 * sooner. All in the thread-default main context, in which @message's server runs. */
void hx_view_viewer_start(SoupServerMessage *message, HxViewConnect connect, void *data,
                          GCancellable *cancel, void (*gone)(void *gone_data), void *gone_data);
