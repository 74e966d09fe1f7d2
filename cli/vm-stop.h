/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Powering a VM off, and what came of it. */
#pragma once

#include "cli/monitor-events.h"
#include "launcher/vm/vm.h"

#define HX_STOP_TIMEOUT 60 /* s, where the user names none */

/* The options by which a verb takes how long a guest may need, for a GOptionContext. */
#define HX_STOP_OPTION_ENTRIES(timeout, force)                                                     \
    {"timeout",        't',        0,                                                              \
     G_OPTION_ARG_INT, &(timeout), "force the VM off after this time (default 60)",                \
     "SECONDS"},                                                                                   \
    {                                                                                              \
        "force", 'f', 0, G_OPTION_ARG_NONE, &(force), "force the VM off at once", NULL             \
    }

/* Power @vm off, by force after @timeout seconds (0: at once), and wait until it is down.
 * HX_ERROR_NOT_FOUND where there is no such VM; HX_ERROR_CANCELLED where the wait is interrupted:
 * the VM goes on to power off then. */
gboolean hx_vm_stop(HxVm *vm, int timeout, HxProgress *progress, HxVmEnd *ret_end, GError **error);

/* Whether @timeout, as an option had it, is one.  HX_ERROR_USAGE where not. */
gboolean hx_vm_check_timeout(int timeout, GError **error);
