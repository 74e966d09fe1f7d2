/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How a fetch shows how far it is, on stderr: one line that changes on a terminal, elsewhere a line
 * now and then. */
#pragma once

#include "launcher/image/fetch.h"

typedef struct {
    gboolean quiet;
    gboolean terminal;
    gboolean updating; /* the cursor is on a line that will be overwritten */
    const char *phase; /* last shown */
    gint64 line_at;    /* monotonic, microseconds: when the last line was */
} HxFetchDisplay;

/* HxImageFetchFunc; @data is an HxFetchDisplay. */
void hx_fetch_display(const char *phase, const HxDownloadProgress *download, void *data);

/* The next output begins on a line of its own. */
void hx_fetch_display_end(HxFetchDisplay *display);

/* "45 %, 512.0 MiB of 1.1 GiB, 12.3 MiB/s, 48 s left", for g_free. */
char *hx_fetch_display_text(const HxDownloadProgress *download);
