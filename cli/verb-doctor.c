/* SPDX-License-Identifier: GPL-2.0-or-later */
/* helixvm doctor: check the host as `up` would use it. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/json-print.h"
#include "cli/profile-options.h"
#include "cli/screen.h"
#include "cli/verb.h"
#include "launcher/base/error.h"
#include "launcher/base/json.h"
#include "launcher/doctor/doctor.h"

static const char *const states[] = {
    [HX_HOST_FINE] = "fine",
    [HX_HOST_DEGRADED] = "degraded",
    [HX_HOST_BROKEN] = "broken",
};
static const char *const colours[] = {
    [HX_HOST_FINE] = "\033[32m",
    [HX_HOST_DEGRADED] = "\033[33m",
    [HX_HOST_BROKEN] = "\033[31m",
};

/* https://no-color.org */
static gboolean may_colour(void)
{
    const char *no = g_getenv("NO_COLOR");
    return hx_screen_is(STDOUT_FILENO) && !(no && *no);
}

static void print_table(const GArray *reports)
{
    gboolean colour = may_colour();
    for (guint i = 0; i < reports->len; i++) {
        const HxHostReport *report = &g_array_index(reports, HxHostReport, i);
        const HxHostFinding *finding = &report->finding;
        printf("%s%-8s%s  %-14s  %s\n", colour ? colours[finding->state] : "",
               states[finding->state], colour ? "\033[0m" : "", report->name, finding->text);
        if (finding->remedy)
            printf("%24s  mend it with: %s\n", "", finding->remedy);
    }
}

static void print_json(const GArray *reports)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();
    json_builder_begin_array(builder);
    for (guint i = 0; i < reports->len; i++) {
        const HxHostReport *report = &g_array_index(reports, HxHostReport, i);
        json_builder_begin_object(builder);
        hx_json_add_string(builder, "check", report->name);
        hx_json_add_string(builder, "state", states[report->finding.state]);
        hx_json_add_string(builder, "text", report->finding.text);
        hx_json_add_string(builder, "remedy", report->finding.remedy);
        json_builder_end_object(builder);
    }
    json_builder_end_array(builder);
    hx_json_print(builder);
}

/* What `up` would start; where that cannot be known, the standard: why is one of the checks. */
static HxProfile *load_profile(const HxProfileOptions *options, HxVm *vm, GError **error)
{
    g_autoptr(GError) cause = NULL;
    HxProfile *profile = vm ? hx_profile_options_load(options, vm, &cause) : NULL;
    if (profile)
        return profile;
    if (!cause || g_error_matches(cause, HX_ERROR, HX_ERROR_HOST))
        return hx_profile_new();
    g_propagate_error(error, g_steal_pointer(&cause));
    return NULL;
}

gboolean hx_verb_doctor(int argc, char **argv, GError **error)
{
    g_auto(HxProfileOptions) options = {0};
    gboolean json = FALSE;
    const GOptionEntry entries[] = {
        HX_PROFILE_OPTION_ENTRIES(options),
        {"json", 0, 0, G_OPTION_ARG_NONE, &json, "print JSON", NULL},
        G_OPTION_ENTRY_NULL,
    };
    if (!hx_verb_parse("[VM]", entries, &argc, &argv, 0, 1, error))
        return FALSE;
    g_autoptr(GError) cause = NULL;
    g_autoptr(HxVm) vm = hx_vm_open(hx_verb_vm_name(argc, argv, 1), &cause);
    if (!vm && !g_error_matches(cause, HX_ERROR, HX_ERROR_HOST)) {
        g_propagate_error(error, g_steal_pointer(&cause));
        return FALSE;
    }
    g_autoptr(HxProfile) profile = load_profile(&options, vm, error);
    if (!profile)
        return FALSE;
    g_autoptr(GArray) reports = hx_doctor_check(vm, profile, hx_verb_cancellable(), error);
    vm = NULL; /* the threads of checks that hang have them still */
    profile = NULL;
    if (!reports)
        return FALSE;
    if (json)
        print_json(reports);
    else
        print_table(reports);
    for (guint i = 0; i < reports->len; i++)
        if (g_array_index(reports, HxHostReport, i).finding.state == HX_HOST_BROKEN)
            hx_verb_set_exit_status(HX_ERROR_HOST);
    return TRUE;
}
