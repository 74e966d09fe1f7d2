/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The two ways that pictures take here: through x264 alone, and through the whole service. */
#pragma once

#include <glib.h>

#include "tests/bench/encoding/sequence.h"
#include "tests/fakes/encoder-client.h"

/* What is measured: times in µs, one for each step. */
typedef struct {
    guint steps;
    gint64 *us;         /* NULL: not wanted */
    GByteArray **units; /* NULL: not wanted; else an access unit for each step, NULL where empty */
    double cpu;         /* seconds: of the service, or of this process where it is bare */
    gint64 seconds_us;  /* all of it, without the still ones */
    double memory;      /* of this process at the end, the encoder's included; of bare alone */
} Measured;

/* Encode @measured->steps pictures by x264 in a bare loop, with the service's own settings. */
void measure_bare(const Sequence *sequence, Measured *measured);

/* The same, each picture first copied and converted, as by any service that is given pixels: what
 * one without sockets, threads and clients would reach on as many cores. */
void measure_floor(const Sequence *sequence, Measured *measured);

typedef struct {
    guint16 session_id;
    guint8 flags;       /* HXFR_FLAG_MAY_BE_EMPTY */
    gboolean as_pixels; /* not as resources */
    guint in_flight;    /* requests that are out at once, from 1 */
    guint still;        /* so many at first are of picture 0 */
    guint repeats;      /* how often each picture is asked for then, from 1 */
    guint rate;         /* requests a second; 0: as fast as it goes */
    gint64 *bare_us;    /* where not NULL: before each request the picture is encoded by x264 alone,
                         * and    the time that this takes is put here */
    int fd;             /* a connection that is there, in place of a new one; 0: none */
    int *ret_fd;        /* where not NULL, the connection stays, for close() */
} Course;

/* Ask @service for measured->steps frames on one connection.  Resource N + 1 is picture N. */
void measure_served(TestService *service, const Sequence *sequence, const Course *course,
                    Measured *measured);

/* For those who did want them. */
void measured_clear(Measured *measured);

/* CPU time that process @pid has used, in seconds. */
double process_cpu(pid_t pid);

/* What @pid has in memory, MiB: smaps_rollup's "Rss". */
double process_memory(pid_t pid);

/* PSNR, in dB, of the luma that a viewer of @measured->units sees at each step after the still ones
 * against the pictures that were asked for, from the squared errors of all these steps together. */
double shown_psnr(const Sequence *sequence, const Course *course, const Measured *measured);
