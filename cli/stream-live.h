/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How a stream goes, while it goes on: on a terminal one line on stderr that is kept up to date,
 * elsewhere a line every 2 seconds, or an object of JSON on a line of stdout. */
#pragma once

#include "cli/stream-report.h"

typedef struct {
    gboolean quiet;      /* nothing */
    gboolean json_lines; /* on stdout */
    gboolean updating;   /* the cursor is on a line of the terminal's that will be overwritten */
} HxStreamLive;

/* µs from one hx_stream_live_show to the next; 0: none is wanted. */
gint64 hx_stream_live_interval(const HxStreamLive *live);
void hx_stream_live_show(HxStreamLive *live, const HxStreamReport *report);
/* Say that the frames come from elsewhere now: change @index of the report's sources. */
void hx_stream_live_show_change(HxStreamLive *live, const HxStreamReport *report, guint index);
/* Erase the line that is kept.  To be called before anything else is written. */
void hx_stream_live_end(HxStreamLive *live);
