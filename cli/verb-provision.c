/* SPDX-License-Identifier: GPL-2.0-or-later */
/* helixvm provision: make a running VM serve sessions. */
#include <stdio.h>

#include "cli/guest.h"
#include "cli/progress.h"
#include "cli/verb.h"
#include "launcher/base/error.h"
#include "launcher/base/json.h"

static void report(const char *step, HxStepState state, double seconds, const char *detail,
                   void *data)
{
    if (state == HX_STEP_BEGUN) {
        hx_progress_begin(data, step);
        return;
    }
    if (state == HX_STEP_GOES_ON) {
        hx_progress_note(data, detail);
        return;
    }
    g_autofree char *text = g_strdup_printf("%s%s%s", hx_step_state_name(state), detail ? ": " : "",
                                            detail ? detail : "");
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

/* What a run is about; for g_free. */
static char *subject(HxVm *vm, const HxProvisionScope *scope)
{
    return scope->container
               ? g_strdup_printf("container \"%s\" in VM \"%s\"", scope->container, hx_vm_name(vm))
               : g_strdup_printf("VM \"%s\"", hx_vm_name(vm));
}

static void print_text(HxVm *vm, const HxProvisionScope *scope, JsonObject *known)
{
    g_autofree char *what = subject(vm, scope);
    gboolean changed = json_object_get_boolean_member(known, "changed");
    if (scope->only)
        printf("%s: %s %s\n", what, scope->only, changed ? "is done" : "needs no change");
    else
        printf("%s %s\n", what, changed ? "is provisioned" : "is already provisioned");
}

/* What a check found wanting is its failure. */
static gboolean check_needed(HxVm *vm, const HxProvisionScope *scope, const char *build,
                             JsonObject *known, GError **error)
{
    JsonArray *done = json_object_get_array_member(known, "steps");
    g_autoptr(GString) needed = g_string_new(NULL);
    for (guint i = 0; i < json_array_get_length(done); i++) {
        JsonObject *step = json_array_get_object_element(done, i);
        if (g_strcmp0(hx_json_string(step, "state"), hx_step_state_name(HX_STEP_NEEDED)) == 0)
            g_string_append_printf(needed, "%s%s", needed->len ? ", " : "",
                                   hx_json_string(step, "name"));
    }
    if (!needed->len)
        return TRUE;
    g_autoptr(GString) options = g_string_new(NULL);
    if (scope->container)
        g_string_append_printf(options, "--container %s ", scope->container);
    if (scope->only)
        g_string_append_printf(options, "--only %s ", scope->only);
    if (build)
        g_string_append_printf(options, "--build %s ", build);
    g_autofree char *what = subject(vm, scope);
    g_set_error(error, HX_ERROR, HX_ERROR_FAILED,
                "%s is not provisioned as it would be now (%s): run `helixvm provision %s%s`", what,
                needed->str, options->str, hx_vm_name(vm));
    return FALSE;
}

gboolean hx_verb_provision(int argc, char **argv, GError **error)
{
    gboolean json = FALSE, quiet = FALSE;
    g_autofree char *only = NULL, *build = NULL, *container = NULL;
    HxProvisionScope scope = {};
    const GOptionEntry options[] = {
        {"check", 0, 0, G_OPTION_ARG_NONE, &scope.check,
         "change nothing, and fail where something would be changed", NULL},
        {"container", 0, 0, G_OPTION_ARG_STRING, &container,
         "put vsockenc into this container in the guest (podman, docker), and nothing else",
         "[ENGINE:]NAME"},
        {"only", 0, 0, G_OPTION_ARG_STRING, &only, "do one step alone", "STEP"},
        {"build", 0, 0, G_OPTION_ARG_STRING, &build,
         "who builds vsockenc and helixvm-session (default: auto, by what fits)",
         "auto|host|guest"},
        {"json", 0, 0, G_OPTION_ARG_NONE, &json, "print what is known of the guest as JSON", NULL},
        {"quiet", 'q', 0, G_OPTION_ARG_NONE, &quiet, "show no steps", NULL},
        G_OPTION_ENTRY_NULL,
    };
    g_autoptr(HxVm) vm = hx_verb_parse_vm(options, &argc, &argv, error);
    scope.only = only;
    scope.container = container;
    if (!vm || (build && !hx_provision_parse_build(build, &scope.build, error)) ||
        !hx_provision_check_scope(&scope, error))
        return FALSE;
    HxGuest guest = hx_verb_guest(vm);
    g_autoptr(HxProgress) progress = hx_progress_new(quiet);
    g_autoptr(JsonObject) known = hx_provision(&guest, &scope, report, progress, error);
    if (!known)
        return FALSE;
    g_autoptr(JsonNode) node = json_node_init_object(json_node_alloc(), known);
    g_autofree char *text = json_to_string(node, TRUE);
    if (!scope.check && !only && !container && !keep(vm, text, error))
        return FALSE;
    if (json)
        puts(text);
    if (!check_needed(vm, &scope, build, known, error))
        return FALSE;
    if (!json)
        print_text(vm, &scope, known);
    return TRUE;
}
