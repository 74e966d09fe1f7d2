/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What came of starting or stopping a VM, on stdout: a sentence, or one JSON object. */
#pragma once

#include <json-glib/json-glib.h>

#include "cli/monitor-events.h"
#include "cli/vm-start.h"

/* That @vm has been started, or was up already.  As JSON it has @phases (cli/start-timing.h), where
 * they are not NULL. */
void hx_vm_print_start(const HxVm *vm, const HxVmStart *start, JsonArray *phases, gboolean as_json);

/* That @vm went down, or was down already. */
void hx_vm_print_end(const HxVm *vm, const HxVmEnd *end, gboolean as_json);
