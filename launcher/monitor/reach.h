/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Find out whether a VM runs, and own it where it does not. */
#pragma once

#include "launcher/vm/vm.h"

/* Either connect to the monitor of @vm, or take the VM's lock: of the two one is always to be had,
 * but for the moments in which a monitor starts or ends, which are waited for.  Returns a connected
 * control socket; or -1 with *ret_lock, for hx_vm_unlock, where no monitor runs.  What a monitor
 * that was killed left is then gone: its domain, its files, and last-run.json says so.  -1 and
 * *ret_lock -1 with HX_ERROR_TIMEOUT where somebody holds the lock for 20 s without serving,
 * HX_ERROR_FAILED where its monitor's sockets were removed, HX_ERROR_CANCELLED, HX_ERROR_HOST.
 * Blocks. */
int hx_vm_reach(HxVm *vm, int *ret_lock, GCancellable *cancel, GError **error);

/* The lock of @vm, for hx_vm_unlock, as hx_vm_reach takes it.  -1 where its monitor runs, too:
 * HX_ERROR_FAILED with "VM ... is up", @why it may not be, and how to power it off. */
int hx_vm_own(HxVm *vm, const char *why, GCancellable *cancel, GError **error);

/* End @vm, which hx_run_is_cut_off: by a signal to its monitor, which has the guest power off, and
 * by force after @timeout seconds (*ret_forced).  HX_ERROR_TIMEOUT where its monitor lives on 20 s
 * after that, HX_ERROR_CANCELLED, HX_ERROR_HOST.  Blocks. */
gboolean hx_vm_end_cut_off(HxVm *vm, int timeout, gboolean *ret_forced, GCancellable *cancel,
                           GError **error);

/* HX_ERROR_NOT_FOUND where there is no such VM: nobody ever brought it up. */
gboolean hx_vm_check_known(HxVm *vm, GError **error);
