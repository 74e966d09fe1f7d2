/* SPDX-License-Identifier: GPL-2.0-or-later */
/* helixvm status: what a VM is and does, as it is seen now. */
#include <stdio.h>

#include "cli/status-text.h"
#include "cli/status-watch.h"
#include "cli/verb.h"
#include "cli/vm-status.h"
#include "launcher/base/error.h"

/* The answer is the exit status. */
static void answer(JsonObject *status)
{
    const char *state = json_object_get_string_member(status, "state");
    hx_verb_set_exit_status(g_str_equal(state, "running") ? 0 : HX_ERROR_NOT_RUNNING);
}

static void print(JsonObject *status, gboolean as_json)
{
    g_autoptr(JsonNode) node = json_node_init_object(json_node_alloc(), status);
    g_autofree char *text = as_json ? json_to_string(node, TRUE) : hx_status_text(status);
    printf("%s%s", text, as_json ? "\n" : "");
}

gboolean hx_verb_status(int argc, char **argv, GError **error)
{
    gboolean as_json = FALSE;
    gboolean watch = FALSE;
    gboolean quiet = FALSE;
    const GOptionEntry entries[] = {
        {"watch", 'w', 0, G_OPTION_ARG_NONE, &watch, "go on, and show each change, until Ctrl-C",
         NULL},
        {"quiet", 'q', 0, G_OPTION_ARG_NONE, &quiet,
         "print nothing: exit with 0 if the VM is running, 5 if not, 4 with an error if there is "
         "none",
         NULL},
        {"json", 0, 0, G_OPTION_ARG_NONE, &as_json, "print JSON; with --watch an object a line",
         NULL},
        G_OPTION_ENTRY_NULL,
    };
    if (!hx_verb_parse("[VM]", entries, &argc, &argv, 0, 1, error))
        return FALSE;
    if (quiet && (watch || as_json)) {
        g_set_error_literal(error, HX_ERROR, HX_ERROR_USAGE,
                            "--quiet prints nothing: neither --watch nor --json goes with it");
        return FALSE;
    }
    g_autoptr(HxVm) vm = hx_vm_open(hx_verb_vm_name(argc, argv, 1), error);
    if (!vm)
        return FALSE;
    if (watch)
        return hx_status_watch(vm, as_json, hx_verb_cancellable(), error);
    g_autoptr(JsonObject) status = quiet ? hx_vm_status_brief(vm, hx_verb_cancellable(), error)
                                         : hx_vm_status(vm, hx_verb_cancellable(), error);
    if (!status)
        return FALSE;
    if (quiet)
        answer(status);
    else
        print(status, as_json);
    return TRUE;
}
