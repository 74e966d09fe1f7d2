/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How a VM's last run ended, for `status` of a VM that is down: last-run.json. */
#pragma once

#include "launcher/vm/vm.h"

/* Keep that the run of @vm that ends now @failed, or not, and why.  What cannot be written is lost:
 * there is nobody left to tell. */
void hx_last_run_keep(HxVm *vm, gboolean failed, const char *reason);
