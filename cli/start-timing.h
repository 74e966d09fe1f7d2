/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where the time of a VM's start went: on the host by the monitor's events, in the guest by what
 * systemd there has noted. */
#pragma once

#include <json-glib/json-glib.h>

#include "launcher/vm/vm.h"

/* Add the phases in which @vm, which is up, came up to @phases: objects with from and took, in
 * seconds from the monitor's start on, where ("host", "guest" or "unit", whose from is null) and
 * what.  Asks the guest over SSH; where that fails @phases has those of the host. */
gboolean hx_start_timing_read(HxVm *vm, JsonArray *phases, GError **error);

/* Print them as a table to stdout. */
void hx_start_timing_print(JsonArray *phases);
