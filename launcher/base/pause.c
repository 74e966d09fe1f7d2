/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/base/pause.h"

void hx_pause(guint milliseconds, GCancellable *cancel)
{
    GPollFD cancelled;
    gboolean pollable = g_cancellable_make_pollfd(cancel, &cancelled);
    g_poll(pollable ? &cancelled : NULL, pollable ? 1 : 0, milliseconds);
    if (pollable)
        g_cancellable_release_fd(cancel);
}
