/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guest-provision/vsockenc/statistics.h"

#include <stdlib.h>
#include <string.h>

void hx_statistics_add(HxStatistics *statistics, gsize bytes, gboolean is_keyframe,
                       gint64 latency_us, gint64 now_us)
{
    gsize slot = statistics->samples++ % HX_STATISTICS_WINDOW;
    statistics->latency_us[slot] = latency_us;
    statistics->finished_at_us[slot] = now_us;
    statistics->frames++;
    statistics->bytes += bytes;
    if (is_keyframe)
        statistics->keyframes++;
}

static gsize window_size(const HxStatistics *statistics)
{
    return MIN(statistics->samples, HX_STATISTICS_WINDOW);
}

static int compare(const void *a, const void *b)
{
    gint64 left = *(const gint64 *)a, right = *(const gint64 *)b;
    return (left > right) - (left < right);
}

/* The smallest of @n sorted values that @percent of them do not exceed. */
static double nearest_rank_ms(const gint64 *sorted, gsize n, gsize percent)
{
    gsize rank = (percent * n + 99) / 100;
    return (double)sorted[MAX(rank, 1) - 1] / 1000.0;
}

HxLatency hx_statistics_latency(const HxStatistics *statistics)
{
    gint64 sorted[HX_STATISTICS_WINDOW];
    gsize n = window_size(statistics);
    if (!n)
        return (HxLatency){0};
    memcpy(sorted, statistics->latency_us, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, compare);
    return (HxLatency){
        .p50 = nearest_rank_ms(sorted, n, 50),
        .p95 = nearest_rank_ms(sorted, n, 95),
        .p99 = nearest_rank_ms(sorted, n, 99),
        .max = nearest_rank_ms(sorted, n, 100),
    };
}

double hx_statistics_fps(const HxStatistics *statistics)
{
    gsize n = window_size(statistics);
    if (n < 2)
        return 0;
    guint64 last = statistics->samples - 1;
    gint64 end = statistics->finished_at_us[last % HX_STATISTICS_WINDOW];
    gint64 start = end;
    gsize frames = 0;
    for (gsize back = 1; back < n; back++) {
        gint64 at = statistics->finished_at_us[(last - back) % HX_STATISTICS_WINDOW];
        if (end - at > 2 * G_USEC_PER_SEC && frames)
            break;
        start = at;
        frames = back;
    }
    return end > start ? (double)frames * G_USEC_PER_SEC / (double)(end - start) : 0;
}
