/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Times of the last frames, and their percentiles. */
#pragma once

#include <glib.h>
#include <json-glib/json-glib.h>

#define HX_SAMPLES_MAX 512

/* A ring of the last durations; {0} is empty.  The caller locks. */
typedef struct {
    guint32 us[HX_SAMPLES_MAX];
    guint count; /* all that were added, of which the last HX_SAMPLES_MAX are kept */
} HxSamples;

/* @us: microseconds, as differences of g_get_monotonic_time(); a negative one counts as 0. */
void hx_samples_add(HxSamples *samples, gint64 us);

/* The duration that @percent of the samples do not exceed (nearest rank), in ms; 0 without samples.
 */
double hx_samples_percentile(const HxSamples *samples, guint percent);

/* Over how long a rate is taken, in µs. */
#define HX_RATE_WINDOW (2 * G_USEC_PER_SEC)

/* A ring of what was sent last; {0} is empty.  The caller locks. */
typedef struct {
    gint64 at[HX_SAMPLES_MAX]; /* g_get_monotonic_time() */
    gsize bytes[HX_SAMPLES_MAX];
    guint next, count; /* where the next goes; how many there are */
} HxRate;

void hx_rate_add(HxRate *rate, gint64 now, gsize bytes);

/* What was sent within HX_RATE_WINDOW before @now, per second: of frames, and of bits in
 * *ret_bits.  A stream that has just begun is rated over the time since then, a second at least. */
double hx_rate_per_second(const HxRate *rate, gint64 now, double *ret_bits);

/* Add member @name, {"p50": ms, "p99": ms}, to the object that is open in @builder. */
void hx_samples_describe(const HxSamples *samples, const char *name, JsonBuilder *builder);
