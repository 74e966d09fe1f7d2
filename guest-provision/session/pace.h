/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which frames of a source pass, so that they are no more than so many a second.  No I/O; one
 * thread at a time. */
#pragma once

#include <gst/gst.h>

typedef struct {
    GstClockTime due; /* when the next one may come; GST_CLOCK_TIME_NONE: at any time */
} SessionPace;

/* Whether the frame of @pts passes, where @fps of a second do.  They are as many as asked for also
 * where the source's rate is no multiple of that: one that came late does not put off the next.
 * A tenth of a frame's time early is in time: the source's clock is its own. */
gboolean session_pace_passes(SessionPace *pace, GstClockTime pts, int fps);
