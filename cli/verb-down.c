/* SPDX-License-Identifier: GPL-2.0-or-later */
/* helixvm down: power a VM off. */
#include "cli/verb.h"
#include "cli/vm-result.h"
#include "cli/vm-stop.h"

gboolean hx_verb_down(int argc, char **argv, GError **error)
{
    int timeout = HX_STOP_TIMEOUT;
    gboolean force = FALSE;
    gboolean as_json = FALSE;
    const GOptionEntry entries[] = {
        HX_STOP_OPTION_ENTRIES(timeout, force),
        {"json", 0, 0, G_OPTION_ARG_NONE, &as_json, "print the result as JSON", NULL},
        G_OPTION_ENTRY_NULL,
    };
    g_autoptr(HxVm) vm = hx_verb_parse_vm(entries, &argc, &argv, error);
    if (!vm || !hx_vm_check_timeout(timeout, error))
        return FALSE;
    g_autoptr(HxProgress) progress = hx_progress_new(FALSE);
    g_auto(HxVmEnd) end = {0};
    if (!hx_vm_stop(vm, force ? 0 : timeout, progress, &end, error))
        return FALSE;
    hx_vm_print_end(vm, &end, as_json);
    return TRUE;
}
