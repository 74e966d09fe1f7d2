/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What limits the frame rate of a session's stream, told from measured figures.  Pure. */
#pragma once

#include <json-glib/json-glib.h>

/* A frame's way, in order. */
typedef enum {
    HX_STREAM_STAGE_RENDER,    /* the guest's client, GPU and compositor */
    HX_STREAM_STAGE_READ,      /* the host reads the picture from the GPU */
    HX_STREAM_STAGE_ENCODE,    /* converting and x264; the guest's x264enc where that encodes */
    HX_STREAM_STAGE_TRANSPORT, /* vsock, with those who pass frames on at its ends */
    HX_STREAM_STAGE_VIEWER,
    HX_STREAM_N_STAGES,
} HxStreamStage;

/* "guest render", "read-back", ... */
const char *hx_stream_stage_name(HxStreamStage stage);

/* What was measured, over the same time.  Rates are frames a second; times are medians in ms, and
 * negative where they are not known. */
typedef struct {
    double wanted;      /* that is to be reached; > 0 */
    double drawn;       /* given by the compositor */
    double passed;      /* of these, at the rate that the session is asked for */
    double taken;       /* of these, by the encoder: for the others it was busy */
    double encoded;     /* of these, without those that changed nothing */
    double received;    /* by the viewer */
    double answer_ms;   /* from the guest's request for a frame to the answer */
    double read_ms;     /* of that, reading the picture on the host, */
    double encode_ms;   /* and converting and encoding it, with the wait for the frame before */
    double viewer_busy; /* share of its time that the viewer did not wait for frames: 0 to 1 */
    double
        host_busy; /* share of the host's CPUs' time that they were not idle; negative: unknown */
    gboolean by_guest; /* x264enc in the guest encodes: @answer_ms is its time */
} HxStreamFigures;

typedef struct {
    gboolean reached;    /* at least 95 % of what was wanted came */
    HxStreamStage stage; /* what limits; where it is reached, what needs most of a frame's time */
    double ms[HX_STREAM_N_STAGES];  /* that a frame takes there; negative: not known */
    double fps[HX_STREAM_N_STAGES]; /* that leave it; negative: not known */
} HxStreamLimit;

/* The stage that limits is where the largest share of frames is lost: between what is wanted and
 * what is drawn, there and what the encoder takes, there and what is new, there and what is
 * received.  What the encoder does not take is lost to the one of read-back, encode and transport
 * that takes longest, or to the guest, where frames come to none of them, and where the guest
 * encodes to that; what is not received, to
 * a viewer that was busy for half of the time, or else to transport. */
HxStreamLimit hx_stream_limit_find(const HxStreamFigures *figures);

/* "encode limits: ...", one sentence of what the figures say and, where the rate was not reached,
 * what may help; for g_free. */
char *hx_stream_limit_sentence(const HxStreamFigures *figures, const HxStreamLimit *limit);

/* The stages as a table, and the verdict as its last line; for g_free. */
char *hx_stream_limit_table(const HxStreamFigures *figures, const HxStreamLimit *limit);

/* Add helixvm(1)'s object "benchmark" to the object that is open in @builder. */
void hx_stream_limit_build(const HxStreamFigures *figures, const HxStreamLimit *limit,
                           JsonBuilder *builder);
