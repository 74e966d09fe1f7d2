/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What `helixvm view` serves at a port of 127.0.0.1: a page, and a session's stream and statistics
 * for it, to whom cli/view-door.h lets in. */
#pragma once

#include "cli/view-viewer.h"

typedef struct {
    const char *vm, *session; /* for people */
    const char *page;         /* HTML, in which @VM@ and @SESSION@ stand for their names */
    HxViewConnect connect;
    void *data; /* other threads' until hx_view_server_free returns */
} HxViewSource;

typedef struct HxViewServer HxViewServer;

/* Serve @source, whose strings stay the caller's, in the thread-default main context.  NULL with
 * HX_ERROR_HOST where there is no port to be had. */
HxViewServer *hx_view_server_new(const HxViewSource *source, GError **error);

/* The URL that lets one browser in, once; the server's own. */
const char *hx_view_server_link(const HxViewServer *server);

/* Ends what is served, and waits for its threads.  NULL is fine. */
void hx_view_server_free(HxViewServer *server);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HxViewServer, hx_view_server_free)
