/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guest-provision/session/pace.h"

/* Where the clock went back, or the rate was another, its due says nothing. */
static gboolean is_begin(const SessionPace *pace, GstClockTime pts, GstClockTime period)
{
    return !GST_CLOCK_TIME_IS_VALID(pts) || !GST_CLOCK_TIME_IS_VALID(pace->due) ||
           pts + 2 * period < pace->due;
}

gboolean session_pace_passes(SessionPace *pace, GstClockTime pts, int fps)
{
    const GstClockTime period = GST_SECOND / (guint64)fps;
    if (!is_begin(pace, pts, period)) {
        if (pts + period / 10 < pace->due)
            return FALSE;
        if (pts > pace->due && pts - pace->due < period)
            pts = pace->due;
    }
    pace->due = GST_CLOCK_TIME_IS_VALID(pts) ? pts + period : GST_CLOCK_TIME_NONE;
    return TRUE;
}
