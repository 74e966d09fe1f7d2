/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A time limit and a way to interrupt for blocking conversations on one socket. */
#pragma once

#include <gio/gio.h>

typedef struct HxDeadline HxDeadline;

typedef enum {
    HX_DEADLINE_HOLDS,     /* the conversation may go on */
    HX_DEADLINE_PASSED,    /* the time was over: the socket is shut down */
    HX_DEADLINE_CANCELLED, /* the user interrupted: the socket is shut down */
} HxDeadlineState;

/* Watch over the conversation on the connected socket @fd, which stays the caller's own.  Where
 * @cancel (NULL: never) is cancelled, or a time set by hx_deadline_set passes, both directions are
 * shut down, shutdown(2), so that whoever blocks on the socket gets its end: a library's calls end
 * without knowing of either.  NULL with HX_ERROR_HOST. */
HxDeadline *hx_deadline_new(int fd, GCancellable *cancel, GError **error);
void hx_deadline_free(HxDeadline *deadline);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HxDeadline, hx_deadline_free)

/* From now on the conversation has @seconds; 0: any time.  Replaces what was set before.  Any
 * thread. */
void hx_deadline_set(HxDeadline *deadline, guint seconds);

/* From now on, a cancelled @cancel leaves the conversation @seconds to end by itself; at first
 * none. Any thread. */
void hx_deadline_set_grace(HxDeadline *deadline, guint seconds);

/* An eventfd(2), @deadline's own, to poll: readable once the socket was shut down. */
int hx_deadline_fd(const HxDeadline *deadline);

/* Whether the socket was shut down, and why; it stays so.  Any thread. */
HxDeadlineState hx_deadline_state(HxDeadline *deadline);
