/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/stream-statistics.h"

#include <math.h>

/* An hour of one ping a second; a longer stream keeps the latest. */
#define PONGS_MAX 3600
#define SHORTEST_RATE_SECONDS 0.1

const guint hx_stream_gap_ms[HX_STREAM_N_GAPS] = {50, 100, 200};

void hx_stream_statistics_init(HxStreamStatistics *statistics)
{
    *statistics =
        (HxStreamStatistics){.round_trips = g_array_new(FALSE, FALSE, sizeof(gint64)),
                             .encoder_latencies = g_array_new(FALSE, FALSE, sizeof(gint64))};
}

void hx_stream_statistics_clear(HxStreamStatistics *statistics)
{
    g_clear_pointer(&statistics->round_trips, g_array_unref);
    g_clear_pointer(&statistics->encoder_latencies, g_array_unref);
}

/* Since the last frame; 0 before the second. */
static gint64 gap_at(const HxStreamStatistics *statistics, gint64 now)
{
    return statistics->last && now > statistics->last ? now - statistics->last : 0;
}

static void end_gap(HxStreamStatistics *statistics, gint64 now)
{
    gint64 gap = gap_at(statistics, now);
    for (size_t i = 0; i < HX_STREAM_N_GAPS; i++)
        statistics->gaps[i] += gap > (gint64)hx_stream_gap_ms[i] * 1000;
    statistics->longest_gap = MAX(statistics->longest_gap, gap);
    statistics->last = now;
}

void hx_stream_statistics_frame(HxStreamStatistics *statistics, gint64 now, guint width,
                                guint height, gsize size, gboolean key, gboolean replayed)
{
    if (!statistics->first) {
        statistics->first = statistics->sample_time = now;
        statistics->smallest = size;
    }
    if (!replayed)
        end_gap(statistics, now);
    statistics->width = width;
    statistics->height = height;
    statistics->frames++;
    statistics->keyframes += key ? 1 : 0;
    statistics->replayed += replayed ? 1 : 0;
    statistics->bytes += size;
    statistics->replayed_bytes += replayed ? size : 0;
    statistics->smallest = MIN(statistics->smallest, size);
    statistics->largest = MAX(statistics->largest, size);
}

static void add_latest(GArray *times, gint64 microseconds)
{
    if (times->len >= PONGS_MAX)
        g_array_remove_index(times, 0);
    g_array_append_val(times, microseconds);
}

void hx_stream_statistics_pong(HxStreamStatistics *statistics, gint64 round_trip,
                               guint encoder_latency)
{
    add_latest(statistics->round_trips, round_trip);
    if (encoder_latency)
        add_latest(statistics->encoder_latencies, (gint64)encoder_latency * 1000);
}

double hx_stream_statistics_duration(const HxStreamStatistics *statistics, gint64 now)
{
    return statistics->first && now > statistics->first ? (now - statistics->first) / 1e6 : 0;
}

static guint64 live_frames(const HxStreamStatistics *statistics)
{
    return statistics->frames - statistics->replayed;
}

static guint64 live_bytes(const HxStreamStatistics *statistics)
{
    return statistics->bytes - statistics->replayed_bytes;
}

/* @count per second since the first frame; of too short a time nothing can be said. */
static double rate(const HxStreamStatistics *statistics, double count, gint64 now)
{
    double duration = hx_stream_statistics_duration(statistics, now);
    return duration >= SHORTEST_RATE_SECONDS ? count / duration : 0;
}

double hx_stream_statistics_fps(const HxStreamStatistics *statistics, gint64 now)
{
    return rate(statistics, live_frames(statistics), now);
}

double hx_stream_statistics_bitrate(const HxStreamStatistics *statistics, gint64 now)
{
    return rate(statistics, live_bytes(statistics) * 8.0, now);
}

guint64 hx_stream_statistics_gaps(const HxStreamStatistics *statistics, guint which, gint64 now)
{
    gboolean open = gap_at(statistics, now) > (gint64)hx_stream_gap_ms[which] * 1000;
    return statistics->gaps[which] + (open ? 1 : 0);
}

double hx_stream_statistics_longest_gap_ms(const HxStreamStatistics *statistics, gint64 now)
{
    return MAX(statistics->longest_gap, gap_at(statistics, now)) / 1e3;
}

static int compare(const void *a, const void *b)
{
    gint64 left = *(const gint64 *)a, right = *(const gint64 *)b;
    return (left > right) - (left < right);
}

static GArray *sort(const GArray *times)
{
    GArray *sorted = g_array_copy((GArray *)times);
    g_array_sort(sorted, compare);
    return sorted;
}

double hx_stream_statistics_round_trip_ms(const HxStreamStatistics *statistics)
{
    if (!statistics->round_trips->len)
        return -1;
    g_autoptr(GArray) sorted = sort(statistics->round_trips);
    guint middle = sorted->len / 2;
    gint64 upper = g_array_index(sorted, gint64, middle);
    gint64 lower = sorted->len % 2 ? upper : g_array_index(sorted, gint64, middle - 1);
    return (lower + upper) / 2e3;
}

double hx_stream_statistics_encoder_ms(const HxStreamStatistics *statistics, double quantile)
{
    guint count = statistics->encoder_latencies->len;
    if (!count)
        return -1;
    g_autoptr(GArray) sorted = sort(statistics->encoder_latencies);
    guint rank = CLAMP((guint)ceil(quantile * count), 1, count);
    return g_array_index(sorted, gint64, rank - 1) / 1e3;
}

HxStreamSample hx_stream_statistics_sample(HxStreamStatistics *statistics, gint64 now)
{
    guint64 frames = live_frames(statistics), bytes = live_bytes(statistics);
    double since = statistics->first ? (now - statistics->sample_time) / 1e6 : 0;
    HxStreamSample sample = {0};
    if (since > 0) {
        sample.fps = (frames - statistics->sample_frames) / since;
        sample.bitrate = (bytes - statistics->sample_bytes) * 8 / since;
    }
    statistics->sample_time = now;
    statistics->sample_frames = frames;
    statistics->sample_bytes = bytes;
    return sample;
}
