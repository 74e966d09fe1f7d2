/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The packages that sessions need, and those by which a guest builds. */
#include "guest-provision/provision-run.h"
#include "guest-provision/script.h"
#include "launcher/base/error.h"

/* How long another apt or dpkg may hold a lock. */
#define LOCK_SECONDS "60"
#define PACKAGES_SECONDS 1800

static void note(const char *text, void *data)
{
    const HxProvisionRun *run = data;
    g_autofree char *line = g_strdup_printf("%s: %s", run->step, text);
    run->report(run->step, HX_STEP_GOES_ON, 0, line, run->data);
}

static gboolean install(HxProvisionRun *run, const char **packages, GError **error)
{
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    g_strv_builder_add(builder, LOCK_SECONDS);
    g_strv_builder_addv(builder, packages);
    g_auto(GStrv) arguments = g_strv_builder_end(builder);
    HxScript script = {.name = "packages.sh",
                       .arguments = (const char *const *)arguments,
                       .seconds = PACKAGES_SECONDS,
                       .within = run->container.within};
    return hx_script_run_noted(run->ssh, &script, note, run, NULL, error);
}

/* What is missing is said once, whole, before a session's packages also what the guest builds by:
 * nothing of it can be had by names that are known here. */
static gboolean not_ours(HxProvisionRun *run, const char *key, GError **error)
{
    g_autofree const char **missing = hx_facts_all(run->facts, key);
    g_autofree const char **unbuildable = hx_facts_all(run->facts, "unbuildable");
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    g_strv_builder_addv(builder, missing);
    if (g_str_equal(key, "missing") && hx_provision_is_to_be_built(run))
        g_strv_builder_addv(builder, unbuildable);
    g_auto(GStrv) all = g_strv_builder_end(builder);
    if (!*all)
        return TRUE;
    g_autofree char *names = g_strjoinv(", ", all);
    g_set_error(error, HX_ERROR, HX_ERROR_GUEST,
                "%s runs %s, whose packages helixvm does not know: it lacks %s: install what "
                "has them in the %s, then run this again",
                run->place, run->distribution.name, names,
                run->container.engine ? "container" : "guest");
    return FALSE;
}

gboolean hx_provision_install(HxProvisionRun *run, const char *key, char **ret_names,
                              GError **error)
{
    *ret_names = NULL;
    g_autofree const char **missing = hx_facts_all(run->facts, key);
    if (!hx_distribution_is_in(&run->distribution, (const char *const *)run->distributions))
        return not_ours(run, key, error);
    if (!missing[0])
        return TRUE;
    g_autofree char *names = g_strjoinv(" ", (char **)missing);
    if (!run->scope->check && !install(run, missing, error)) {
        g_prefix_error(error, "cannot install %s%s%s: ", names, run->container.engine ? " in " : "",
                       run->container.engine ? run->place : "");
        return FALSE;
    }
    *ret_names = g_steal_pointer(&names);
    return TRUE;
}

gboolean hx_step_packages(HxProvisionRun *run, size_t index, HxStepState *ret_state,
                          char **ret_detail, GError **error)
{
    if (!hx_provision_install(run, "missing", ret_detail, error))
        return FALSE;
    if (*ret_detail)
        *ret_state = HX_STEP_DONE;
    return TRUE;
}
