/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The lock of a VM: who holds it owns the VM's files and its domain. */
#pragma once

#include "launcher/vm/vm.h"

/* Take the lock of @vm, making its directories where they are missing; does not wait.  Returns a
 * descriptor for hx_vm_unlock, or -1 with HX_ERROR_FAILED where somebody else holds the lock,
 * HX_ERROR_HOST where it cannot be taken. */
int hx_vm_lock(HxVm *vm, GError **error);

/* Remove what is in the runtime directory, as who holds the lock may. */
void hx_vm_clear_runtime(HxVm *vm);

/* Remove the directories of a VM that does not exist, and the runtime directory with what is in it,
 * also what an owner that was killed left there, and close @fd. */
void hx_vm_unlock(HxVm *vm, int fd);
