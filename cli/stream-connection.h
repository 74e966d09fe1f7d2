/* SPDX-License-Identifier: GPL-2.0-or-later */
/* libcurl with one connection of a viewer's: on a socket that already stands, or made to a Helix
 * server. */
#pragma once

#include <curl/curl.h>
#include <gio/gio.h>

#include "cli/helix-server.h"

typedef struct HxStreamConnection HxStreamConnection;

/* For "GET @path" over the connected stream socket @fd, which is taken over also on failure, with
 * the @scheme "http" or "ws".  @cancel (or NULL) interrupts hx_stream_connection_perform.
 * HX_ERROR_HOST. */
HxStreamConnection *hx_stream_connection_on(int fd, const char *scheme, const char *path,
                                            GCancellable *cancel, GError **error);

/* For the WebSocket "GET @path" of @server, with its key, and by TLS where its URL has https.
 * @server and @path stay the caller's own and outlive the connection.  HX_ERROR_HOST. */
HxStreamConnection *hx_stream_connection_to(const HxHelixServer *server, const char *path,
                                            GCancellable *cancel, GError **error);

/* For more options, and for the messages on it.  @connection's own. */
CURL *hx_stream_connection_curl(HxStreamConnection *connection);

/* Ask, within @timeout seconds; once.  HX_ERROR_PROTOCOL, HX_ERROR_ACCESS, HX_ERROR_CONNECTION,
 * HX_ERROR_TIMEOUT, HX_ERROR_CANCELLED, and to a Helix server what hx_helix_set_error says. */
gboolean hx_stream_connection_perform(HxStreamConnection *connection, guint timeout,
                                      GError **error);

/* NULL is fine. */
void hx_stream_connection_free(HxStreamConnection *connection);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HxStreamConnection, hx_stream_connection_free)
