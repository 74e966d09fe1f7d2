/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The guard of a monitor: the process that mends what a killed monitor leaves.
 *
 * Theory of operation.  It holds a pidfd of the monitor, and waits for its end: when that is told,
 * all that the monitor had open is closed.  A monitor that ends well ends its guard before.  Else
 * the guard does what the next verb would do (hx_vm_reach), now: the domain ends, also where
 * libvirtd does not end it because it was killed, too, and sockets and locks go. */
#include <unistd.h>

#include "launcher/base/error.h"
#include "launcher/base/log.h"
#include "launcher/monitor/monitor.h"
#include "launcher/monitor/reach.h"
#include "launcher/vm/lock.h"

/* Wait for the end of the process of @pidfd.  FALSE where @cancel comes first. */
static gboolean await_end(int pidfd, GCancellable *cancel)
{
    GPollFD fds[2] = {{.fd = pidfd, .events = G_IO_IN}};
    gboolean has_cancel = g_cancellable_make_pollfd(cancel, &fds[1]);
    while (fds[0].revents == 0 && !g_cancellable_is_cancelled(cancel))
        g_poll(fds, has_cancel ? 2 : 1, -1);
    if (has_cancel)
        g_cancellable_release_fd(cancel);
    return !g_cancellable_is_cancelled(cancel);
}

gboolean hx_monitor_guard(HxVm *vm, int monitor, GCancellable *cancel, GError **error)
{
    if (!await_end(monitor, cancel))
        return TRUE;
    hx_log_warning("the monitor was killed: ending what it left");
    int lock = -1;
    int next = hx_vm_reach(vm, &lock, cancel, error);
    if (next >= 0) {
        hx_log_info("another monitor runs the VM already");
        close(next);
    }
    if (lock >= 0)
        hx_vm_unlock(vm, lock);
    return next >= 0 || lock >= 0;
}
