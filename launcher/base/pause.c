/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/base/pause.h"

#include <errno.h>

#include "launcher/base/error.h"

void hx_pause(guint milliseconds, GCancellable *cancel)
{
    GPollFD cancelled;
    gboolean pollable = g_cancellable_make_pollfd(cancel, &cancelled);
    g_poll(pollable ? &cancelled : NULL, pollable ? 1 : 0, milliseconds);
    if (pollable)
        g_cancellable_release_fd(cancel);
}

int hx_await_readable(int fd, gint64 deadline, GCancellable *cancel)
{
    GPollFD fds[2] = {{.fd = fd, .events = G_IO_IN}};
    gboolean pollable = g_cancellable_make_pollfd(cancel, &fds[1]);
    int r = -EINTR;
    while (r == -EINTR) {
        gint64 left = deadline - g_get_monotonic_time();
        int milliseconds = CLAMP(left / 1000 + 1, 0, G_MAXINT);
        int n =
            g_cancellable_is_cancelled(cancel) ? 0 : g_poll(fds, pollable ? 2 : 1, milliseconds);
        if (n < 0)
            r = -errno;
        else if (g_cancellable_is_cancelled(cancel))
            r = -ECANCELED;
        else if (n > 0)
            r = 0;
        else if (g_get_monotonic_time() >= deadline)
            r = -ETIMEDOUT;
    }
    if (pollable)
        g_cancellable_release_fd(cancel);
    return r;
}

gboolean hx_is_cancelled(GCancellable *cancel, GError **error)
{
    if (!g_cancellable_is_cancelled(cancel))
        return FALSE;
    g_set_error_literal(error, HX_ERROR, HX_ERROR_CANCELLED, "interrupted");
    return TRUE;
}
