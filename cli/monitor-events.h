/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Follows a monitor's events (launcher/monitor.h) and shows them as progress. */
#pragma once

#include "cli/progress.h"
#include "launcher/control.h"

typedef enum {
    HX_EVENTS_UNTIL_READY,
    HX_EVENTS_UNTIL_END,
} HxEventsUntil;

/* Read events from @control until the one that @until names.  UNTIL_READY: @ret_seconds, where not
 * NULL, gets the time the start took.  UNTIL_END: @ret_text, where not NULL, gets how it ended, for
 * g_free.  FALSE with the error of a "failed" event, or HX_ERROR_FAILED where the VM stopped or the
 * monitor died before, or HX_ERROR_CANCELLED. */
gboolean hx_events_follow(HxControl *control, HxEventsUntil until, HxProgress *progress,
                          GCancellable *cancel, double *ret_seconds, char **ret_text,
                          GError **error);
