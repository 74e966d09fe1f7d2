/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "encoder/service/statistics.h"

#include <stdlib.h>
#include <string.h>

void hx_samples_add(HxSamples *samples, gint64 us)
{
    samples->us[samples->count % HX_SAMPLES_MAX] = (guint32)CLAMP(us, 0, G_MAXUINT32);
    samples->count++;
    /* Keep the ring full, and the place in it, when the counter is about to wrap. */
    if (samples->count == G_MAXUINT)
        samples->count = HX_SAMPLES_MAX + samples->count % HX_SAMPLES_MAX;
}

static int compare(const void *a, const void *b)
{
    guint32 left = *(const guint32 *)a, right = *(const guint32 *)b;
    return (left > right) - (left < right);
}

double hx_samples_percentile(const HxSamples *samples, guint percent)
{
    guint n = MIN(samples->count, HX_SAMPLES_MAX);
    if (!n)
        return 0;
    guint32 sorted[HX_SAMPLES_MAX];
    memcpy(sorted, samples->us, n * sizeof sorted[0]);
    qsort(sorted, n, sizeof sorted[0], compare);
    guint rank = (n * percent + 99) / 100;
    return sorted[rank ? rank - 1 : 0] / 1000.0;
}

void hx_rate_add(HxRate *rate, gint64 now, gsize bytes)
{
    rate->at[rate->next] = now;
    rate->bytes[rate->next] = bytes;
    rate->next = (rate->next + 1) % HX_SAMPLES_MAX;
    rate->count = MIN(rate->count + 1, HX_SAMPLES_MAX);
}

double hx_rate_per_second(const HxRate *rate, gint64 now, double *ret_bits)
{
    gint64 begin = now - HX_RATE_WINDOW;
    guint frames = 0;
    gsize bytes = 0;
    for (; frames < rate->count; frames++) {
        guint slot = (rate->next + HX_SAMPLES_MAX - 1 - frames) % HX_SAMPLES_MAX;
        if (rate->at[slot] <= begin)
            break;
        bytes += rate->bytes[slot];
    }
    /* All that is known: they began, or came faster than the ring is long. */
    if (frames && frames == rate->count) {
        guint first = (rate->next + HX_SAMPLES_MAX - frames) % HX_SAMPLES_MAX;
        begin = rate->at[first];
    }
    double seconds = (double)MAX(now - begin, G_USEC_PER_SEC) / G_USEC_PER_SEC;
    *ret_bits = (double)bytes * 8 / seconds;
    return frames / seconds;
}

void hx_samples_describe(const HxSamples *samples, const char *name, JsonBuilder *builder)
{
    json_builder_set_member_name(builder, name);
    json_builder_begin_object(builder);
    json_builder_set_member_name(builder, "p50");
    json_builder_add_double_value(builder, hx_samples_percentile(samples, 50));
    json_builder_set_member_name(builder, "p99");
    json_builder_add_double_value(builder, hx_samples_percentile(samples, 99));
    json_builder_end_object(builder);
}
