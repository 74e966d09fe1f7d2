/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The current group of pictures, from its keyframe on, for viewers that come late. */
#pragma once

#include "guest-provision/session/stream-protocol.h"

/* More is not kept: a late viewer that gets a keyframe of its own sees a picture sooner. */
enum { SESSION_GOP_FRAMES_MAX = 300, SESSION_GOP_BYTES_MAX = 2 * 1024 * 1024 };

typedef struct SessionGop SessionGop;

SessionGop *session_gop_new(void);
void session_gop_free(SessionGop *gop);

/* Add the encoded VideoFrame @message, of which a reference is taken; a keyframe begins anew.  What
 * would go beyond the bounds makes it empty until the next keyframe. */
void session_gop_add(SessionGop *gop, GBytes *message, gboolean is_keyframe);

/* It is as new: the frames that follow are of no use before a keyframe. */
void session_gop_clear(SessionGop *gop);

/* How many VideoFrames there are of it; 0 where it cannot be replayed. */
guint session_gop_size(const SessionGop *gop);

/* VideoFrame @index of it as a replayed one: a copy, for g_bytes_unref. */
GBytes *session_gop_replay(const SessionGop *gop, guint index);
