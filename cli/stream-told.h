/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a session tells of itself while its stream is viewed: GET /statistics, again and again, by a
 * thread of its own, so that the viewer never waits for it. */
#pragma once

#include <json-glib/json-glib.h>

typedef struct HxStreamTold HxStreamTold;

/* Where to ask: a connected socket for hx_stream_get, or -1.  Any thread. */
typedef int (*HxStreamConnect)(void *data, GCancellable *cancel);

/* Ask once, within @seconds: an object for json_object_unref, NULL where there is no answer. */
JsonObject *hx_stream_ask(HxStreamConnect connect, void *data, guint seconds, GCancellable *cancel);

/* Ask now and every @interval_ms.  @data is the thread's until hx_stream_told_free. */
HxStreamTold *hx_stream_told_new(HxStreamConnect connect, void *data, guint interval_ms);
/* The last answer, for json_object_unref; NULL: none yet. */
JsonObject *hx_stream_told_get(HxStreamTold *told);
/* Interrupts a question, and waits for the thread.  NULL is fine. */
void hx_stream_told_free(HxStreamTold *told);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HxStreamTold, hx_stream_told_free)
