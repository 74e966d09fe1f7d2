/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/stream-statistics.h"

/* An hour of one ping a second; a longer stream keeps the latest. */
#define ROUND_TRIPS_MAX 3600
#define SHORTEST_RATE_SECONDS 0.1

void hx_stream_statistics_init(HxStreamStatistics *statistics)
{
    *statistics = (HxStreamStatistics){.round_trips = g_array_new(FALSE, FALSE, sizeof(gint64))};
}

void hx_stream_statistics_clear(HxStreamStatistics *statistics)
{
    g_clear_pointer(&statistics->round_trips, g_array_unref);
}

void hx_stream_statistics_frame(HxStreamStatistics *statistics, gint64 now, guint width,
                                guint height, gsize size, gboolean key, gboolean replayed)
{
    if (!statistics->first) {
        statistics->first = statistics->line_time = now;
        statistics->smallest = size;
    }
    statistics->width = width;
    statistics->height = height;
    statistics->frames++;
    statistics->keyframes += key ? 1 : 0;
    statistics->replayed += replayed ? 1 : 0;
    statistics->bytes += size;
    statistics->smallest = MIN(statistics->smallest, size);
    statistics->largest = MAX(statistics->largest, size);
}

void hx_stream_statistics_round_trip(HxStreamStatistics *statistics, gint64 microseconds)
{
    if (statistics->round_trips->len >= ROUND_TRIPS_MAX)
        g_array_remove_index(statistics->round_trips, 0);
    g_array_append_val(statistics->round_trips, microseconds);
}

double hx_stream_statistics_duration(const HxStreamStatistics *statistics, gint64 now)
{
    return statistics->first && now > statistics->first ? (now - statistics->first) / 1e6 : 0;
}

/* @count per second since the first frame; of too short a time nothing can be said. */
static double rate(const HxStreamStatistics *statistics, double count, gint64 now)
{
    double duration = hx_stream_statistics_duration(statistics, now);
    return duration >= SHORTEST_RATE_SECONDS ? count / duration : 0;
}

double hx_stream_statistics_fps(const HxStreamStatistics *statistics, gint64 now)
{
    return rate(statistics, statistics->frames - statistics->replayed, now);
}

double hx_stream_statistics_bitrate(const HxStreamStatistics *statistics, gint64 now)
{
    return rate(statistics, statistics->bytes * 8.0, now);
}

static int compare(const void *a, const void *b)
{
    gint64 left = *(const gint64 *)a, right = *(const gint64 *)b;
    return (left > right) - (left < right);
}

double hx_stream_statistics_round_trip_ms(const HxStreamStatistics *statistics)
{
    if (!statistics->round_trips->len)
        return -1;
    g_autoptr(GArray) sorted = g_array_copy(statistics->round_trips);
    g_array_sort(sorted, compare);
    guint middle = sorted->len / 2;
    gint64 upper = g_array_index(sorted, gint64, middle);
    gint64 lower = sorted->len % 2 ? upper : g_array_index(sorted, gint64, middle - 1);
    return (lower + upper) / 2e3;
}

char *hx_stream_statistics_line(HxStreamStatistics *statistics, gint64 now)
{
    if (!statistics->first)
        return g_strdup("no frame yet");
    guint64 live = statistics->frames - statistics->replayed;
    double since = (now - statistics->line_time) / 1e6;
    double instant = since > 0 ? (live - statistics->line_frames) / since : 0;
    statistics->line_time = now;
    statistics->line_frames = live;
    return g_strdup_printf("%5.1f s  %ux%u H.264  %" G_GUINT64_FORMAT " frames (%" G_GUINT64_FORMAT
                           " key)  %.2f MB  %.1f fps (%.1f average)  "
                           "%.2f Mbit/s  frame %.1f kB (%.1f to %.1f)",
                           hx_stream_statistics_duration(statistics, now), statistics->width,
                           statistics->height, statistics->frames, statistics->keyframes,
                           statistics->bytes / 1e6, instant,
                           hx_stream_statistics_fps(statistics, now),
                           hx_stream_statistics_bitrate(statistics, now) / 1e6,
                           statistics->bytes / 1e3 / statistics->frames, statistics->smallest / 1e3,
                           statistics->largest / 1e3);
}
