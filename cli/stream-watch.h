/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A viewer that takes a session's stream until there is enough, and counts it. */
#pragma once

#include "cli/stream-client.h"
#include "cli/stream-statistics.h"

typedef struct {
    double settling; /* seconds from the first frame, of which nothing is counted */
    double duration; /* seconds from there on; 0: until the stream ends */
    gint64 interval; /* µs from tick to tick, from the first frame on; 0: none */
    /* A frame, from the first keyframe on; FALSE with @error ends the stream. */
    gboolean (*frame)(const HxStreamFrame *frame, void *data, GError **error);
    void (*tick)(gint64 now, void *data);
    /* The stream has settled: counting begins.  NULL is fine. */
    void (*settled)(void *data);
    /* The session's answer: the size that the stream has, pixels. */
    void (*complete)(int width, int height, void *data);
    /* Where its frames come from, as it tells; borrowed. */
    void (*source)(const HxStreamSource *source, void *data);
    void *data;
} HxStreamWatch;

/* Take what @client gets, and count it into @statistics, which begin anew where it has settled.
 * TRUE where there is enough, or where no frame came for 45 s; FALSE with what
 * hx_stream_client_next or @watch->frame fails with, or HX_ERROR_PROTOCOL for frames that are no
 * H.264. */
gboolean hx_stream_watch(const HxStreamWatch *watch, HxStreamClient *client,
                         HxStreamStatistics *statistics, GError **error);
