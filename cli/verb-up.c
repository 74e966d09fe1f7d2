/* SPDX-License-Identifier: GPL-2.0-or-later */
/* helixvm up: start a VM and wait until its guest is ready. */
#include "cli/start-timing.h"
#include "cli/verb.h"
#include "cli/vm-result.h"
#include "cli/vm-start.h"
#include "launcher/base/error.h"

gboolean hx_verb_up(int argc, char **argv, GError **error)
{
    g_auto(HxProfileOptions) options = {0};
    int boot_timeout = HX_BOOT_TIMEOUT;
    gboolean quiet = FALSE;
    gboolean as_json = FALSE;
    gboolean timing = FALSE;
    const GOptionEntry entries[] = {
        HX_PROFILE_OPTION_ENTRIES(options),
        HX_BOOT_TIMEOUT_ENTRY(boot_timeout),
        {"quiet", 'q', 0, G_OPTION_ARG_NONE, &quiet, "show no phases", NULL},
        {"json", 0, 0, G_OPTION_ARG_NONE, &as_json, "print the result as JSON", NULL},
        {"timing", 0, 0, G_OPTION_ARG_NONE, &timing, "show where the start's time went", NULL},
        G_OPTION_ENTRY_NULL,
    };
    g_autoptr(HxVm) vm = hx_verb_parse_vm(entries, &argc, &argv, error);
    if (!vm || !hx_vm_check_boot_timeout(boot_timeout, error))
        return FALSE;
    g_autoptr(HxProgress) progress = hx_progress_new(quiet);
    HxVmStart started;
    if (!hx_vm_start(vm, &options, boot_timeout, progress, &started, error))
        return FALSE;
    g_autoptr(JsonArray) phases = timing ? json_array_new() : NULL;
    gboolean done = !timing || hx_start_timing_read(vm, phases, error);
    hx_vm_print_start(vm, &started, phases, as_json);
    if (timing && !as_json)
        hx_start_timing_print(phases);
    return done;
}
