/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Follows a monitor's events (launcher/monitor/monitor.h) and shows them as progress. */
#pragma once

#include "cli/progress.h"
#include "launcher/monitor/control.h"

typedef enum {
    HX_EVENTS_UNTIL_READY,
    HX_EVENTS_UNTIL_END,
} HxEventsUntil;

/* How a VM went down. */
typedef struct {
    gboolean was_down; /* it was down already */
    gboolean forced;   /* it did not power off by itself */
    char *text;        /* what ended it; NULL where it was down */
} HxVmEnd;

void hx_vm_end_clear(HxVmEnd *end);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(HxVmEnd, hx_vm_end_clear)

/* Read events from @control until the one that @until names.  UNTIL_READY: @ret_seconds, where not
 * NULL, gets the time the start took.  UNTIL_END: @ret_end, where not NULL, gets how it ended.
 * FALSE with the error of a "failed" event, or HX_ERROR_FAILED where the VM stopped or the monitor
 * died before, or HX_ERROR_CANCELLED. */
gboolean hx_events_follow(HxControl *control, HxEventsUntil until, HxProgress *progress,
                          GCancellable *cancel, double *ret_seconds, HxVmEnd *ret_end,
                          GError **error);
