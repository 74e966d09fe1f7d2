/* SPDX-License-Identifier: GPL-2.0-or-later */
/* helixvm status --watch: a VM's status whenever it changes. */
#pragma once

#include "launcher/vm/vm.h"

/* Show the status of @vm on stdout until @cancel is cancelled, which is a success: on a terminal in
 * place, elsewhere a line for each change, with @as_json an object on a line.  It goes on while the
 * VM goes down and comes up.  HX_ERROR_NOT_FOUND where there is no such VM, or no more. */
gboolean hx_status_watch(HxVm *vm, gboolean as_json, GCancellable *cancel, GError **error);
