/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Removing a VM with its disks. */
#pragma once

#include "launcher/vm/vm.h"

/* Remove all that is kept of @vm, whose lock the caller holds.  In one step it is no VM any more:
 * of a removal that is killed, only a directory remains that nobody takes for a VM, and that goes
 * with hx_vm_sweep_removed. */
gboolean hx_vm_remove(HxVm *vm, GError **error);

/* Delete what killed removals, of any VM, have left.  What cannot be deleted stays for the next
 * time. */
void hx_vm_sweep_removed(HxVm *vm);
