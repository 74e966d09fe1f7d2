/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Starting a VM: its monitor, and the wait until the guest is ready. */
#pragma once

#include "cli/profile-options.h"
#include "cli/progress.h"
#include "launcher/control.h"

/* How a VM came up. */
typedef struct {
    gboolean was_up; /* it was up already: nothing has been started */
    double seconds;  /* the start took, where it was not */
} HxVmStart;

/* Bring @vm up along @options and wait until its guest is ready; join a start that is under way.
 * Interrupted (hx_verb_cancellable), it ends what it began: HX_ERROR_CANCELLED. */
gboolean hx_vm_start(HxVm *vm, const HxProfileOptions *options, HxProgress *progress,
                     HxVmStart *ret_start, GError **error);

/* Start the monitor of @vm along @options, and wait for nothing.  @lock is the VM's, which goes to
 * the monitor; it is given back where this fails.  A @bound monitor ends its VM when the connection
 * returned closes, another one only while the VM starts.  Returns the connection, on which all
 * events come. */
HxControl *hx_vm_start_monitor(HxVm *vm, int lock, gboolean bound, const HxProfileOptions *options,
                               GError **error);
