/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is said of a session's stream: a line while it goes on, the result at its end, and either as
 * JSON. */
#pragma once

#include <json-glib/json-glib.h>

#include "cli/h264/sps.h"
#include "cli/stream-statistics.h"

typedef struct {
    const char *session;
    const HxStreamStatistics *statistics; /* what the viewer counted */
    const HxH264Sps *sps;                 /* of the last keyframe; NULL: not known */
    JsonObject *told;                     /* the session's own statistics; NULL: not known */
    gint64 now;                           /* monotonic, µs: when that was */
    HxStreamSample sample;                /* of the last seconds */
} HxStreamReport;

/* How it goes, without a newline, in at most @width columns: what matters less is left out.  For
 * g_free. */
char *hx_stream_report_line(const HxStreamReport *report, guint width);

/* The result, several lines; for g_free. */
char *hx_stream_report_text(const HxStreamReport *report);

/* The members of helixvm(1)'s object, with @type as its "type" where it is not NULL, into an object
 * that is begun and not ended; @live adds the rates of the last seconds. */
void hx_stream_report_build(const HxStreamReport *report, const char *type, gboolean live,
                            JsonBuilder *builder);

/* A string that the session told, made harmless for terminals; NULL where it told none.  For
 * g_free. */
char *hx_stream_report_told(const HxStreamReport *report, const char *name);
