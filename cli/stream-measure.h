/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A time of a session's stream: the figures of hx_stream_limit_find, from what its session, its
 * encoder and its viewer count at the begin and at the end.  No I/O. */
#pragma once

#include "cli/host-time.h"
#include "cli/stream-limit.h"

/* What is known at one moment. */
typedef struct {
    JsonObject *session; /* its GET /statistics, owned; NULL: it did not answer */
    JsonObject *encoder; /* helixvm-encoder's statistics, owned; NULL: it did not answer */
    gint64 time;         /* monotonic, µs: of what follows */
    guint64 received;    /* frames that the viewer got, without replayed ones */
    gint64 waited;       /* µs that it waited for them */
    HxHostTime host;
} HxStreamMoment;

void hx_stream_moment_clear(HxStreamMoment *moment);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(HxStreamMoment, hx_stream_moment_clear)

/* What went on from @begin to @end, where @wanted frames a second were.  Of the encoder's sessions
 * it is the one of the same size whose bytes went like this session's.  The times are those of the
 * last frames at @end, 512 at the encoder and 1024 at the session.  FALSE with HX_ERROR_GUEST where
 * the session did not tell what is needed. */
gboolean hx_stream_measure(const HxStreamMoment *begin, const HxStreamMoment *end, double wanted,
                           HxStreamFigures *ret_figures, GError **error);
