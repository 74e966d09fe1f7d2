/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A session that a Helix server gives, by its API's WebSocket. */
#pragma once

#include "cli/helix-server.h"
#include "cli/stream-view.h"

/* View session @wish->request.session_id of the server that @options and the environment name.
 * @output and @snapshot are files as hx_stream_files_new takes them.  Fails as hx_helix_server_new,
 * hx_helix_stream_path, hx_stream_files_new and hx_stream_view do; no error quotes the key.  Main
 * thread. */
gboolean hx_stream_view_helix(const HxHelixOptions *options, const HxStreamWish *wish,
                              const char *output, const char *snapshot, GCancellable *cancel,
                              GError **error);
