/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a viewer of a session stream counts.  No I/O; times are the caller's, monotonic, in µs. */
#pragma once

#include <glib.h>

/* Gaps between two frames are counted that are longer than so many ms. */
enum { HX_STREAM_N_GAPS = 3 };
extern const guint hx_stream_gap_ms[HX_STREAM_N_GAPS];

typedef struct {
    gint64 first; /* when the first frame came; 0: none yet */
    gint64 last;  /* when the last one came that is not replayed; 0: none yet */
    guint width, height;
    guint64 frames, keyframes, replayed;
    guint64 bytes, replayed_bytes; /* of H.264; bytes has both */
    guint64 smallest, largest;
    guint64 gaps[HX_STREAM_N_GAPS]; /* those that have ended */
    gint64 longest_gap;             /* µs */
    GArray *round_trips;            /* of gint64, µs */
    GArray *encoder_latencies;      /* of gint64, µs: those that were told */
    /* at the last hx_stream_statistics_sample */
    gint64 sample_time;
    guint64 sample_frames, sample_bytes;
} HxStreamStatistics;

void hx_stream_statistics_init(HxStreamStatistics *statistics);
void hx_stream_statistics_clear(HxStreamStatistics *statistics);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(HxStreamStatistics, hx_stream_statistics_clear)

/* A frame of @size bytes came at @now.  A @replayed one, shown to others before, counts as a frame
 * but in no rate, and makes no gap. */
void hx_stream_statistics_frame(HxStreamStatistics *statistics, gint64 now, guint width,
                                guint height, gsize size, gboolean key, gboolean replayed);
/* A ping was answered after @round_trip µs; its answer tells an encoder's latency of
 * @encoder_latency ms, or none, 0. */
void hx_stream_statistics_pong(HxStreamStatistics *statistics, gint64 round_trip,
                               guint encoder_latency);

/* From the first frame to @now: seconds; frames and bits per second, without the replayed ones'.  0
 * where nothing came, and for rates within the first 0.1 s. */
double hx_stream_statistics_duration(const HxStreamStatistics *statistics, gint64 now);
double hx_stream_statistics_fps(const HxStreamStatistics *statistics, gint64 now);
double hx_stream_statistics_bitrate(const HxStreamStatistics *statistics, gint64 now);

/* Gaps up to @now, among them the one that still goes on: how many are longer than
 * hx_stream_gap_ms[@which]; the longest, in ms. */
guint64 hx_stream_statistics_gaps(const HxStreamStatistics *statistics, guint which, gint64 now);
double hx_stream_statistics_longest_gap_ms(const HxStreamStatistics *statistics, gint64 now);

/* The median round trip in ms; negative where none was measured. */
double hx_stream_statistics_round_trip_ms(const HxStreamStatistics *statistics);
/* The latency in ms that the share @quantile of what the answers told does not exceed, 0 to 1;
 * negative where they told none. */
double hx_stream_statistics_encoder_ms(const HxStreamStatistics *statistics, double quantile);

/* The rates of the time since the call before, or since the first frame, without replayed frames.
 */
typedef struct {
    double fps;
    double bitrate; /* bits per second */
} HxStreamSample;

HxStreamSample hx_stream_statistics_sample(HxStreamStatistics *statistics, gint64 now);
