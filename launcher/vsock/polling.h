/* SPDX-License-Identifier: GPL-2.0-or-later */
/* When the guest's packets are looked for by the clock, without its kicks.  Times are in µs, those
 * of g_get_monotonic_time(). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* All zero: it waits for kicks. */
typedef struct {
    int64_t look_at;   /* when to look into the queue; 0: at a kick */
    int64_t looked_at; /* when the last lap has ended */
    uint32_t bytes;    /* of data since then, in packets that are not large */
    uint32_t window;   /* the smallest of those that sent it */
    unsigned laps;     /* laps in a row that had much of it */
} HxPolling;

/* A packet with @size bytes of data was found, of a connection that has at most @window bytes under
 * way. */
void hx_polling_count(HxPolling *polling, uint32_t size, uint32_t window);

/* A lap has found no more packets, and it is @now.  Returns whether the queue is to be looked into
 * at `look_at`; otherwise the guest's next packet is to come with a kick. */
bool hx_polling_end_lap(HxPolling *polling, int64_t now);

/* The guest gets data: what it sends next may be an answer, which is not to wait. */
static inline void hx_polling_expect_answer(HxPolling *polling)
{
    polling->laps = 0;
}
