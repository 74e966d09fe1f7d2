/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Frames on their way to the host's frame-export service, and coded pictures back: two at a time,
 * so that the host reads and converts one while it encodes the other. */
#pragma once

#include "guest-provision/vsockenc/picture.h"

/* Frames that may be asked for before the first of them is answered; the service works at as many
 * of one connection. */
enum { HX_EXCHANGE_FRAMES = 2 };

typedef struct {
    HxFrameAddress address;
    guint timeout_ms;   /* for a connection, a frame's fence, and an answer */
    guint reconnect_ms; /* for a service that was lost to return; 0: it is not waited for */
    /* A connection broke, for @cause; what was on its way is sent again.  Called in the receiving
     * thread, which may not call back.  May be NULL. */
    void (*lost)(const GError *cause, void *data);
    void *data;
    GDestroyNotify release_frame; /* for frames that are given up in hx_exchange_reset() */
} HxExchangeOptions;

typedef enum {
    HX_FAILURE_NONE,
    HX_FAILURE_UNREACHABLE, /* there is no connection */
    HX_FAILURE_LOST,        /* the connection broke, or no answer came in time */
    HX_FAILURE_REFUSED,     /* the service answered with an ERROR */
    HX_FAILURE_NOT_DRAWN,   /* the frame's fence took too long */
    HX_FAILURE_BAD_FRAME,   /* the frame cannot be sent */
} HxFailure;

/* What became of one frame. */
typedef struct {
    void *frame;          /* as it was submitted; the caller's again */
    HxFrameAnswer answer; /* empty where there is a failure */
    gint64 latency_us;    /* from the beginning of the request to the end of the answer */
    const char *source;   /* "resource" or "pixels", how the frame went */
    char *reason;         /* why it did not go by its resource; NULL where it did */
    HxFailure failure;
    gboolean is_fatal; /* the failure is one that the next frame would have, too */
    GError *error;     /* of the failure: G_IO_ERROR */
} HxExchangeResult;

void hx_exchange_result_clear(HxExchangeResult *result);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(HxExchangeResult, hx_exchange_result_clear)

/* One thread submits, another receives; hx_exchange_interrupt() is any thread's. */
typedef struct HxExchange HxExchange;

/* Nothing is connected before the first frame.  @options is copied. */
HxExchange *hx_exchange_new(const HxExchangeOptions *options);

/* When both threads have left it; NULL is fine. */
void hx_exchange_free(HxExchange *exchange);

/* What the service is told of the frames that follow, and after how many frames at most one of them
 * is a keyframe (0: as the service likes).  A bitrate of 0 is the service's own.  The submitting
 * thread's; cheap where nothing has changed. */
void hx_exchange_configure(HxExchange *exchange, const HxfrConfigReq *config,
                           guint keyframe_interval);

/* The next frame is to be a keyframe.  The submitting thread's. */
void hx_exchange_force_keyframe(HxExchange *exchange);

/* Wait until there is place for a frame and until it is drawn, and ask for it.  @request has the
 * size, pts, duration and force_keyframe; the rest is filled in.  @buffer is held until the answer.
 * FALSE where it was interrupted: @frame is still the caller's then. */
gboolean hx_exchange_submit(HxExchange *exchange, const HxPictureFormat *format, GstBuffer *buffer,
                            const HxfrFrameRequest *request, void *frame);

/* Wait for the oldest frame's result; it counts as on its way until hx_exchange_done().  FALSE
 * where it was interrupted. */
gboolean hx_exchange_receive(HxExchange *exchange, HxExchangeResult *ret_result);

/* The last result has been dealt with.  The receiving thread's. */
void hx_exchange_done(HxExchange *exchange);

/* Wait until each frame that was submitted is done.  FALSE where it was interrupted. */
gboolean hx_exchange_drain(HxExchange *exchange);

/* All that waits, and will wait, returns at once; until hx_exchange_reset(). */
void hx_exchange_interrupt(HxExchange *exchange);

/* Give up what is on its way, and the connection that it is on; the next frame is a keyframe.  When
 * both threads have left it. */
void hx_exchange_reset(HxExchange *exchange);

/* How often a connection was made after the first.  Any thread's. */
guint hx_exchange_reconnects(HxExchange *exchange);
