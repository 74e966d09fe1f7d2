/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What an encoder did: counts, rate, and percentiles of how long its answers took. */
#pragma once

#include <glib.h>

/* The percentiles and the rate are over this many latest frames. */
enum { HX_STATISTICS_WINDOW = 1024 };

typedef struct {
    guint64 frames;
    guint64 keyframes;
    guint64 bytes;
    guint64 errors;
    guint64 samples;                             /* latencies ever seen */
    gint64 latency_us[HX_STATISTICS_WINDOW];     /* ring */
    gint64 finished_at_us[HX_STATISTICS_WINDOW]; /* ring, monotonic */
} HxStatistics;

typedef struct {
    double p50, p95, p99, max; /* ms; 0 where there is no sample */
} HxLatency;

/* Count a frame of @bytes that was ready at @now_us (monotonic, µs) after @latency_us.  The caller
 * sees to it that only one thread is in these functions. */
void hx_statistics_add(HxStatistics *statistics, gsize bytes, gboolean is_keyframe,
                       gint64 latency_us, gint64 now_us);

/* Nearest-rank percentiles over the window. */
HxLatency hx_statistics_latency(const HxStatistics *statistics);

/* Frames per second over the window, at most its last 2 s; 0 before the second frame. */
double hx_statistics_fps(const HxStatistics *statistics);
