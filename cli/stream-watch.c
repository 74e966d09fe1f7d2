/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/stream-watch.h"

#include <string.h>

#include "launcher/base/error.h"

#define FIRST_FRAME_SECONDS 45

typedef struct {
    const HxStreamWatch *watch;
    HxStreamStatistics *statistics;
    gboolean begun; /* there was a keyframe */
    gint64 settled; /* monotonic: when counting begins */
    gint64 next_tick;
    gint64 end; /* monotonic: when there is enough, or no more hope */
} State;

static gboolean is_annex_b(const HxStreamFrame *frame)
{
    static const guint8 start[] = {0, 0, 0, 1};
    return frame->size > 4 &&
           (memcmp(frame->data, start, 4) == 0 || memcmp(frame->data, start + 1, 3) == 0);
}

static void begin(State *state, gint64 now)
{
    const HxStreamWatch *watch = state->watch;
    gint64 counted = now + (gint64)(watch->settling * G_USEC_PER_SEC);
    state->begun = TRUE;
    if (watch->interval)
        state->next_tick = now + watch->interval;
    if (watch->settling > 0)
        state->settled = counted;
    state->end =
        watch->duration > 0 ? counted + (gint64)(watch->duration * G_USEC_PER_SEC) : G_MAXINT64;
}

static void settle(State *state)
{
    state->settled = G_MAXINT64;
    hx_stream_statistics_clear(state->statistics);
    hx_stream_statistics_init(state->statistics);
    if (state->watch->settled)
        state->watch->settled(state->watch->data);
}

static gboolean take_frame(State *state, const HxStreamFrame *frame, GError **error)
{
    if (frame->codec != HX_STREAM_CODEC_H264 || !is_annex_b(frame)) {
        g_set_error(error, HX_ERROR, HX_ERROR_PROTOCOL,
                    "the session sent a frame that is no H.264 byte stream (codec %u)",
                    frame->codec);
        return FALSE;
    }
    gboolean key = frame->flags & HX_STREAM_FRAME_KEY;
    /* Before the first keyframe there is nothing that a decoder could make of it. */
    if (!state->begun && !key)
        return TRUE;
    gint64 now = g_get_monotonic_time();
    if (!state->begun)
        begin(state, now);
    hx_stream_statistics_frame(state->statistics, now, frame->width, frame->height, frame->size,
                               key, frame->flags & HX_STREAM_FRAME_REPLAY);
    return state->watch->frame(frame, state->watch->data, error);
}

/* Those that were missed, where this process did not run, are not made up for: their rates would
 * be of no time. */
static void tick(State *state)
{
    gint64 now = g_get_monotonic_time(), interval = state->watch->interval;
    state->next_tick = MAX(state->next_tick + interval, now + interval / 2);
    state->watch->tick(now, state->watch->data);
}

gboolean hx_stream_watch(const HxStreamWatch *watch, HxStreamClient *client,
                         HxStreamStatistics *statistics, GError **error)
{
    State state = {.watch = watch,
                   .statistics = statistics,
                   .settled = G_MAXINT64,
                   .next_tick = G_MAXINT64,
                   .end = g_get_monotonic_time() + FIRST_FRAME_SECONDS * G_USEC_PER_SEC};
    for (;;) {
        HxStreamEvent event;
        gint64 until = MIN(MIN(state.end, state.settled), state.next_tick);
        if (!hx_stream_client_next(client, until, &event, error))
            return FALSE;
        switch (event.type) {
        case HX_STREAM_EVENT_FRAME:
            if (!take_frame(&state, &event.frame, error))
                return FALSE;
            break;
        case HX_STREAM_EVENT_PONG:
            hx_stream_statistics_pong(statistics, event.pong.round_trip,
                                      event.pong.encoder_latency);
            break;
        case HX_STREAM_EVENT_TIME:
            if (until == state.end)
                return TRUE;
            if (until == state.settled)
                settle(&state);
            else
                tick(&state);
            break;
        case HX_STREAM_EVENT_COMPLETE:
            watch->complete(event.width, event.height, watch->data);
            break;
        case HX_STREAM_EVENT_SOURCE:
            watch->source(event.source, watch->data);
            break;
        case HX_STREAM_EVENT_INIT:
            break;
        }
    }
}
