/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A picture that stays: a compositor that has nothing new to show sends nothing, and an encoder
 * needs frames all the same, to make it better and to give a late viewer a keyframe.
 *
 * pipewiresrc's own keepalive-time is for that, too, and deadlocks: it drops its last buffer with
 * the lock of PipeWire's loop held, which takes that of its buffer pool; a buffer that another
 * thread drops takes the two the other way round. */
#pragma once

#include <gst/gst.h>

typedef struct SessionRepeat SessionRepeat;

/* Give @pad, a linked sink pad, its last buffer again whenever none has come for @interval_ms, with
 * the running time of its element as its timestamp.  It is given from the default main context, as
 * if it came from upstream: probes that are added later see it.  A buffer is not repeated after
 * other caps.  To be freed in the thread of that context before the pad's element is stopped. */
SessionRepeat *session_repeat_new(GstPad *pad, guint interval_ms);

/* Whether @buffer is one that was given again.  Any thread. */
gboolean session_repeat_gave(GstBuffer *buffer);

/* No buffer is kept, and none given, after it.  NULL is fine. */
void session_repeat_free(SessionRepeat *repeat);
