/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The guard of a monitor: the process that mends what a killed monitor leaves.
 *
 * Theory of operation.  It holds a pidfd of the monitor, and waits for its end: when that is told,
 * all that the monitor had open is closed.  A monitor that ends well ends its guard before.  Else
 * the guard does what the next verb would do (hx_vm_reach), now: the domain ends, also where
 * libvirtd does not end it because it was killed, too, and sockets and locks go. */
#include <errno.h>
#include <unistd.h>

#include "launcher/base/error.h"
#include "launcher/base/log.h"
#include "launcher/base/pause.h"
#include "launcher/monitor/monitor.h"
#include "launcher/monitor/reach.h"
#include "launcher/vm/lock.h"

gboolean hx_monitor_guard(HxVm *vm, int monitor, GCancellable *cancel, GError **error)
{
    int r = hx_await_readable(monitor, G_MAXINT64, cancel);
    if (r == -ECANCELED)
        return TRUE;
    if (r < 0) {
        hx_set_error_errno(error, HX_ERROR_FAILED, -r,
                           "cannot wait for the end of the monitor of VM \"%s\", which nothing "
                           "guards now: start it anew with `helixvm restart %s`",
                           hx_vm_name(vm), hx_vm_name(vm));
        return FALSE;
    }
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
