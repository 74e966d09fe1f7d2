/* SPDX-License-Identifier: GPL-2.0-or-later */
/* helixvm down: power a VM off. */
#include <stdio.h>

#include "cli/monitor-events.h"
#include "cli/verb.h"
#include "launcher/base/error.h"
#include "launcher/vm-lock.h"
#include "launcher/vm-reach.h"

#define DEFAULT_TIMEOUT 60

gboolean hx_verb_down(int argc, char **argv, GError **error)
{
    int timeout = DEFAULT_TIMEOUT;
    gboolean force = FALSE;
    const GOptionEntry entries[] = {
        {"timeout", 't', 0, G_OPTION_ARG_INT, &timeout,
         "force the VM off after this time (default 60)", "SECONDS"},
        {"force", 'f', 0, G_OPTION_ARG_NONE, &force, "do not ask the guest", NULL},
        G_OPTION_ENTRY_NULL,
    };
    if (!hx_verb_parse("[VM]", entries, &argc, &argv, 0, 1, error))
        return FALSE;
    if (timeout < 0 || timeout > 3600) {
        g_set_error_literal(error, HX_ERROR, HX_ERROR_USAGE, "--timeout takes 0 to 3600 s");
        return FALSE;
    }
    g_autoptr(HxVm) vm = hx_vm_open(hx_verb_vm_name(argc, argv, 1), error);
    if (!vm)
        return FALSE;
    int lock = -1;
    int fd =
        hx_vm_check_known(vm, error) ? hx_vm_reach(vm, &lock, hx_verb_cancellable(), error) : -1;
    if (lock >= 0) {
        hx_vm_unlock(vm, lock);
        printf("VM \"%s\" is already down\n", hx_vm_name(vm));
        return TRUE;
    }
    if (fd < 0)
        return FALSE;
    g_autoptr(HxControl) control = hx_control_new(fd);
    g_autoptr(HxProgress) progress = hx_progress_new(FALSE);
    g_autofree char *request =
        g_strdup_printf("{\"request\":\"down\",\"timeout\":%d}", force ? 0 : timeout);
    g_autofree char *waiting =
        g_strdup_printf("asking the guest to power off (forced after %d s)", timeout);
    if (!force)
        hx_progress_note(progress, waiting);
    g_autofree char *text = NULL;
    g_autoptr(GError) cause = NULL;
    if (!hx_control_send(control, request, error))
        return FALSE;
    if (!hx_events_follow(control, HX_EVENTS_UNTIL_END, progress, hx_verb_cancellable(), NULL,
                          &text, &cause)) {
        /* The VM failed meanwhile, which may be down enough: who gets its lock knows. */
        if (!g_error_matches(cause, HX_ERROR, HX_ERROR_CANCELLED) &&
            hx_vm_reach(vm, &lock, hx_verb_cancellable(), NULL) < 0 && lock >= 0)
            text = g_strdup(cause->message);
        if (!text) {
            g_propagate_error(error, g_steal_pointer(&cause));
            return FALSE;
        }
        hx_vm_unlock(vm, lock);
    }
    printf("VM \"%s\" is down: %s\n", hx_vm_name(vm), text);
    return TRUE;
}
