/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The user's browser. */
#pragma once

#include <glib.h>

typedef struct HxViewBrowser HxViewBrowser;

/* Whether one can be opened here: there are a display and xdg-open(1). */
gboolean hx_view_browser_is_there(void);

/* Have it open @url, a secret, which others of the host must not read in a command line: it gets a
 * file of mode 0600 that leads there; one that a killed helixvm has left is used again.  What opens
 * outlives helixvm.  NULL with HX_ERROR_HOST.  Main thread. */
HxViewBrowser *hx_view_browser_open(const char *url, GError **error);

/* Removes the file.  NULL is fine. */
void hx_view_browser_free(HxViewBrowser *browser);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HxViewBrowser, hx_view_browser_free)
