/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a stream's keyframes say of its picture, against what its messages announce. */
#pragma once

#include "cli/h264/sps.h"
#include "guest-provision/session/stream-protocol.h"

typedef struct {
    gboolean known; /* @sps is that of the last keyframe */
    HxH264Sps sps;
    char *warned; /* the last warning; NULL: none */
} HxStreamPicture;

void hx_stream_picture_clear(HxStreamPicture *picture);

/* Look at @frame, where it is a keyframe.  A warning, for people, where its sequence parameter set
 * is missing, is none, or tells another size than @frame announces; NULL where there is nothing to
 * say, or what was said last.  Owned by @picture. */
const char *hx_stream_picture_look(HxStreamPicture *picture, const HxStreamFrame *frame);
