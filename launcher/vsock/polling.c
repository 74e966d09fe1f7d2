/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Theory of operation
 *
 * A kick costs both sides much, and so does each time that the device is woken.  While a guest
 * streams, which it does when several laps have found data and none went to it in between, no kicks
 * are asked for: the queue is looked into again a while later, where several packets then are,
 * until none is.
 *
 * That while is what the guest takes for half of its window at the pace of the last one: the other
 * half is left to it until it hears of its credit.
 */
#include "launcher/vsock/polling.h"

#include <glib.h>

/* So many laps with so many bytes each are a stream, of packets that are worth waiting for: larger
 * ones fill the guest's credit too soon. */
#define PACKET_MAX (48 * 1024)
#define STREAM_LAPS 4
#define STREAM_BYTES 2048
/* µs.  The longest is what a packet of another connection may wait. */
#define INTERVAL_MIN 100
#define INTERVAL_MAX 400

void hx_polling_count(HxPolling *polling, uint32_t size, uint32_t window)
{
    if (size >= PACKET_MAX)
        return;
    polling->window = polling->bytes == 0 ? window : MIN(polling->window, window);
    polling->bytes += size;
}

bool hx_polling_end_lap(HxPolling *polling, int64_t now)
{
    bool due = now >= polling->look_at;
    if (polling->bytes >= STREAM_BYTES)
        polling->laps = MIN(polling->laps + 1, STREAM_LAPS);
    else if (due) /* not only woken in between by something else */
        polling->laps = 0;
    if (polling->laps < STREAM_LAPS) {
        polling->look_at = 0;
    } else if (due) {
        int64_t took = now - polling->looked_at;
        int64_t interval = took * (polling->window / 2) / polling->bytes;
        polling->look_at = now + CLAMP(interval, INTERVAL_MIN, INTERVAL_MAX);
    }
    polling->looked_at = now;
    polling->bytes = 0;
    return polling->look_at != 0;
}
