/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Waits that end: with the time, and with a cancellation; and what is said of one. */
#pragma once

#include <gio/gio.h>

/* Wait @milliseconds, or until @cancel, which may be NULL, is cancelled.  Any thread. */
void hx_pause(guint milliseconds, GCancellable *cancel);

/* Wait until @fd can be read, or its other end is closed; at most until @deadline, monotonic
 * time in microseconds, or until @cancel, which may be NULL, is cancelled.  Returns 0 or a
 * negative errno (-ETIMEDOUT, -ECANCELED).  Any thread. */
int hx_await_readable(int fd, gint64 deadline, GCancellable *cancel);

/* TRUE with HX_ERROR_CANCELLED, "interrupted", where @cancel, which may be NULL, is cancelled. */
gboolean hx_is_cancelled(GCancellable *cancel, GError **error);
