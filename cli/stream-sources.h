/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where a stream's frames came from, as the session told while it was viewed. */
#pragma once

#include <json-glib/json-glib.h>

#include "guest-provision/session/stream-protocol.h"

/* A session that changes more often is believed no more. */
#define HX_STREAM_SOURCES_MAX 100

typedef struct {
    gint64 at;              /* monotonic, µs: when it was told */
    char *source, *encoder; /* harmless for terminals, as is */
    char *reason;           /* why no better one; NULL: none was told */
} HxStreamSourceTold;

typedef struct {
    GPtrArray *told; /* HxStreamSourceTold, owned: the first, and the changes */
} HxStreamSources;

void hx_stream_sources_init(HxStreamSources *sources);
void hx_stream_sources_clear(HxStreamSources *sources);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(HxStreamSources, hx_stream_sources_clear)

/* @source was told at @now.  TRUE where that is a change: another than the one before. */
gboolean hx_stream_sources_add(HxStreamSources *sources, const HxStreamSource *source, gint64 now);

/* The last one; NULL: none was told. */
const HxStreamSourceTold *hx_stream_sources_last(const HxStreamSources *sources);

/* How many changes there were, and change @index: the first is 0. */
guint hx_stream_sources_changes(const HxStreamSources *sources);
const HxStreamSourceTold *hx_stream_sources_change(const HxStreamSources *sources, guint index);
