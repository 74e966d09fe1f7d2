/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Frames of a session's stream, as x264 encodes them. */
#pragma once

#include "guest-provision/session/stream-protocol.h"

#define PICTURE_WIDTH 322
#define PICTURE_HEIGHT 182
#define PICTURE_GROUP 10 /* frames from one keyframe to the next */
#define PICTURE_US 40000 /* from one frame to the next */

/* What is grey in picture @i, as Y of BT.601. */
#define PICTURE_GREY(i) (50 + 5 * (i))

/* Hand @count frames to @take, each of one grey, which becomes lighter. */
void pictures_encode(int count, void (*take)(const HxStreamFrame *frame, void *data), void *data);
