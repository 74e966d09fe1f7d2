/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is said of a session's stream: a line while it goes on, the result at its end, and either as
 * JSON. */
#pragma once

#include <json-glib/json-glib.h>

#include "cli/h264/sps.h"
#include "cli/stream-limit.h"
#include "cli/stream-sources.h"
#include "cli/stream-statistics.h"

/* What a benchmark came to. */
typedef struct {
    HxStreamFigures figures;
    HxStreamLimit limit;
} HxStreamMeasured;

typedef struct {
    const char *session;
    const HxStreamStatistics *statistics; /* what the viewer counted */
    const HxH264Sps *sps;                 /* of the last keyframe; NULL: not known */
    const HxStreamSources *sources;       /* where the frames came from, as it was told */
    JsonObject *told;                     /* the session's own statistics; NULL: not known */
    gint64 now;                           /* monotonic, µs: when that was */
    HxStreamSample sample;                /* of the last seconds */
    const HxStreamMeasured *measured;     /* NULL: it was no benchmark */
} HxStreamReport;

/* How it goes, without a newline, in at most @width columns: what matters less is left out.  For
 * g_free. */
char *hx_stream_report_line(const HxStreamReport *report, guint width);

/* Change @index of its sources, for people, without a newline; for g_free. */
char *hx_stream_report_change(const HxStreamReport *report, guint index);

/* The same as a line of JSON, of type "source", without its newline; for g_free. */
char *hx_stream_report_change_json(const HxStreamReport *report, guint index);

/* The result, several lines; for g_free. */
char *hx_stream_report_text(const HxStreamReport *report);

/* helixvm(1)'s object, without a newline at its end: in lines for people, or in one with a "type".
 * The rates of the last seconds are in that of type "statistics" alone.  For g_free. */
typedef enum {
    HX_STREAM_JSON_RESULT,          /* in lines, without a type */
    HX_STREAM_JSON_RESULT_LINE,     /* of type "result" */
    HX_STREAM_JSON_STATISTICS_LINE, /* of type "statistics" */
} HxStreamJson;
char *hx_stream_report_json(const HxStreamReport *report, HxStreamJson form);

/* A string that the session told, made harmless for terminals; NULL where it told none.  For
 * g_free. */
char *hx_stream_report_told(const HxStreamReport *report, const char *name);
