/* SPDX-License-Identifier: GPL-2.0-or-later */
/* helixvm provision: make a running VM serve sessions. */
#include <stdio.h>

#include "cli/guest.h"
#include "cli/progress.h"
#include "cli/verb.h"
#include "launcher/base/error.h"

static void report(const char *step, HxStepState state, double seconds, const char *detail,
                   void *data)
{
    static const char *const words[] = {
        [HX_STEP_SEEN] = "ok",
        [HX_STEP_ALREADY] = "already",
        [HX_STEP_DONE] = "done",
        [HX_STEP_FAILED] = "failed",
    };
    if (state == HX_STEP_BEGUN) {
        hx_progress_begin(data, step);
        return;
    }
    g_autofree char *text =
        g_strdup_printf("%s%s%s", words[state], detail ? ": " : "", detail ? detail : "");
    hx_progress_end(data, step, seconds, text);
}

/* Keep what is known of the guest, for `status`. */
static gboolean keep(HxVm *vm, const char *json, GError **error)
{
    g_autoptr(GError) cause = NULL;
    if (g_file_set_contents_full(hx_vm_state_path(vm, "guest.json"), json, -1,
                                 G_FILE_SET_CONTENTS_CONSISTENT, 0644, &cause))
        return TRUE;
    g_set_error(error, HX_ERROR, HX_ERROR_HOST, "cannot keep what is known of the guest: %s",
                cause->message);
    return FALSE;
}

gboolean hx_verb_provision(int argc, char **argv, GError **error)
{
    gboolean json = FALSE, quiet = FALSE;
    const GOptionEntry options[] = {
        {"json", 0, 0, G_OPTION_ARG_NONE, &json, "print what is known of the guest as JSON", NULL},
        {"quiet", 'q', 0, G_OPTION_ARG_NONE, &quiet, "show no steps", NULL},
        G_OPTION_ENTRY_NULL,
    };
    g_autoptr(HxVm) vm = hx_verb_parse_vm(options, &argc, &argv, error);
    if (!vm)
        return FALSE;
    HxGuest guest = hx_verb_guest(vm);
    g_autoptr(HxProgress) progress = hx_progress_new(quiet);
    g_autoptr(JsonObject) known = hx_provision(&guest, report, progress, error);
    if (!known)
        return FALSE;
    g_autoptr(JsonNode) node = json_node_init_object(json_node_alloc(), known);
    g_autofree char *text = json_to_string(node, TRUE);
    if (!keep(vm, text, error))
        return FALSE;
    if (json)
        puts(text);
    else
        printf("VM \"%s\" %s\n", hx_vm_name(vm),
               json_object_get_boolean_member(known, "changed") ? "is provisioned"
                                                                : "is already provisioned");
    return TRUE;
}
