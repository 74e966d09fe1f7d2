/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Starting a VM: its monitor, and the wait until the guest is ready. */
#pragma once

#include "cli/profile-options.h"
#include "cli/progress.h"
#include "launcher/monitor/control.h"

#define HX_BOOT_TIMEOUT 300 /* s, where the user names none */

/* The option by which a verb takes how long a guest may boot, for a GOptionContext. */
#define HX_BOOT_TIMEOUT_ENTRY(timeout)                                                             \
    {"boot-timeout",   0,          0,                                                              \
     G_OPTION_ARG_INT, &(timeout), "how long the guest may take to report READY (default 300)",    \
     "SECONDS"}

/* How a VM came up. */
typedef struct {
    gboolean was_up; /* it was up already: nothing has been started */
    double seconds;  /* the start took, where it was not */
} HxVmStart;

/* Bring @vm up along @options and wait until its guest is ready, for which it has @boot_timeout
 * seconds from QEMU's start on; join a start that is under way, with the time that that has.
 * Interrupted (hx_verb_cancellable), it ends what it began: HX_ERROR_CANCELLED. */
gboolean hx_vm_start(HxVm *vm, const HxProfileOptions *options, int boot_timeout,
                     HxProgress *progress, HxVmStart *ret_start, GError **error);

/* Whether @timeout, as an option had it, is one.  HX_ERROR_USAGE where not. */
gboolean hx_vm_check_boot_timeout(int timeout, GError **error);

/* Start the monitor of @vm along @options, and wait for nothing.  @lock is the VM's, which goes to
 * the monitor; it is given back where this fails.  A @bound monitor ends its VM when the connection
 * returned closes, another one only while the VM starts.  Returns the connection, on which all
 * events come. */
HxControl *hx_vm_start_monitor(HxVm *vm, int lock, gboolean bound, const HxProfileOptions *options,
                               int boot_timeout, GError **error);
