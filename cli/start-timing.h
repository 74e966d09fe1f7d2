/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where the time of a VM's start went: on the host by the monitor's events, in the guest by what
 * systemd there has noted. */
#pragma once

#include "launcher/vm.h"

/* Print a table of the phases in which @vm, which is up, came up, to stdout.  Asks the guest over
 * SSH.  Times are in seconds from the monitor's start on. */
gboolean hx_start_timing_print(HxVm *vm, GError **error);
