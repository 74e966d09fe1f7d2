/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The monitor: the one process that owns a running VM, from its first part to its last. */
#pragma once

#include <gio/gio.h>

#include "launcher/vm/vm.h"

/* What a monitor says, one JSON object a line, on the start descriptor and on control connections;
 * each has a member "at" besides, seconds since the monitor's start:
 *
 *   {"event":"phase","phase":P,"state":"begun"|"done","seconds":S,"detail":D}
 *   {"event":"state","state":S}        as in status: "starting", "running", "rebooting", …
 *   {"event":"note","text":T}          something the user should know
 *   {"event":"ready","seconds":S}      READY=1 came and SSH answers
 *   {"event":"failed","code":C,"text":T}   C as in launcher/base/error.h; the last event
 *   {"event":"stopped","text":T,"forced":B}   the VM is off and its parts are gone; the last event;
 *                                      forced: the guest was told to power off and did not
 *
 * A control connection (control.sock) takes one request line:
 *
 *   {"request":"status"}               answered by one line, see hx_monitor_status
 *   {"request":"watch"}                all events from the start on, until the last; with a member
 *                                      "from_now":true those from the "state" that it is in on
 *   {"request":"down","timeout":SECONDS}   power off, force after SECONDS (0: at once); then events
 */

/* Be the monitor of @vm until it has stopped: start its parts and its domain along profile.conf
 * in its state directory, watch them, and end them all.  @lock_fd is the VM's lock (hx_vm_lock),
 * which is taken over and given back at the end.  @start_fd (-1: none) is a connected socket
 * that gets the events; where its other end closes before the VM is ready, the start is given
 * up, and with @bound the VM is forced off whenever it closes.  With @is_new the VM is removed at
 * the end where QEMU was never started.  The guest has @boot_timeout seconds from QEMU's start to
 * report READY.  @public_key is what the guest's root accepts.
 * @cancel stops the VM as "down" does.  Call it from the main thread, once a process.  FALSE
 * with the reason where the VM did not come up or could not go on. */
gboolean hx_monitor_run(HxVm *vm, int start_fd, gboolean bound, gboolean is_new, int lock_fd,
                        guint boot_timeout, const char *public_key, GCancellable *cancel,
                        GError **error);

/* Tell @start_fd the "failed" event for @error, where hx_monitor_run was not come to. */
void hx_monitor_tell_failure(int start_fd, const GError *error);

/* Be the guard of @vm's monitor, a process by the pidfd @monitor: when it has ended, end what it
 * left, its domain first.  Blocks.  TRUE where all is as it should be, also where @cancel said that
 * no guard is needed any more. */
gboolean hx_monitor_guard(HxVm *vm, int monitor, GCancellable *cancel, GError **error);
