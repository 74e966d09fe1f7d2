/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a viewer of a session stream counts.  No I/O; times are the caller's, monotonic, in µs. */
#pragma once

#include <glib.h>

typedef struct {
    gint64 first; /* when the first frame came; 0: none yet */
    guint width, height;
    guint64 frames, keyframes, replayed;
    guint64 bytes; /* of H.264 */
    guint64 smallest, largest;
    GArray *round_trips; /* of gint64, µs */
    /* since the last hx_stream_statistics_line */
    gint64 line_time;
    guint64 line_frames;
} HxStreamStatistics;

void hx_stream_statistics_init(HxStreamStatistics *statistics);
void hx_stream_statistics_clear(HxStreamStatistics *statistics);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(HxStreamStatistics, hx_stream_statistics_clear)

/* A frame of @size bytes came at @now.  A @replayed one, shown to others before, counts as a frame
 * but not as one of its second. */
void hx_stream_statistics_frame(HxStreamStatistics *statistics, gint64 now, guint width,
                                guint height, gsize size, gboolean key, gboolean replayed);
void hx_stream_statistics_round_trip(HxStreamStatistics *statistics, gint64 microseconds);

/* From the first frame to @now: seconds; frames per second without the replayed ones; bits per
 * second.  0 where nothing came, and for rates within the first 0.1 s. */
double hx_stream_statistics_duration(const HxStreamStatistics *statistics, gint64 now);
double hx_stream_statistics_fps(const HxStreamStatistics *statistics, gint64 now);
double hx_stream_statistics_bitrate(const HxStreamStatistics *statistics, gint64 now);

/* The median round trip in ms; negative where none was measured. */
double hx_stream_statistics_round_trip_ms(const HxStreamStatistics *statistics);

/* One line for people, for g_free, with the frame rate since the line before. */
char *hx_stream_statistics_line(HxStreamStatistics *statistics, gint64 now);
