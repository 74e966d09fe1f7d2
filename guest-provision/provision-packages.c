/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The packages that sessions need. */
#include <string.h>

#include "guest-provision/provision-run.h"
#include "guest-provision/script.h"
#include "launcher/base/error.h"
#include "launcher/base/parts.h"

/* How long another apt or dpkg may hold a lock. */
#define LOCK_SECONDS "60"
#define PACKAGES_SECONDS 1800

char **hx_provision_packages(GError **error)
{
    g_autofree char *path = hx_data_path("guest-provision/session/packages", error);
    g_autoptr(GBytes) content = path ? hx_script_read(path, error) : NULL;
    if (!content)
        return NULL;
    gsize size;
    const char *bytes = g_bytes_get_data(content, &size);
    g_autofree char *text = g_strndup(bytes, size);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    g_autoptr(GStrvBuilder) packages = g_strv_builder_new();
    for (char **line = lines; *line; line++) {
        char *name = g_strstrip(*line);
        if (*name && *name != '#')
            g_strv_builder_add(packages, name);
    }
    return g_strv_builder_end(packages);
}

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
                       .seconds = PACKAGES_SECONDS};
    return hx_script_run_noted(run->ssh, &script, note, run, NULL, error);
}

gboolean hx_step_packages(HxProvisionRun *run, size_t index, HxStepState *ret_state,
                          char **ret_detail, GError **error)
{
    g_autofree const char **missing = hx_facts_all(run->facts, "missing");
    if (hx_facts_get(run->facts, "nodpkg")) {
        g_auto(GStrv) packages = hx_provision_packages(NULL);
        g_autofree char *names = packages ? g_strjoinv(" ", packages) : NULL;
        *ret_detail = g_strdup_printf("no dpkg: not checked for %s", names);
        return TRUE;
    }
    if (!missing[0])
        return TRUE;
    g_autofree char *names = g_strjoinv(" ", (char **)missing);
    if (!run->scope->check && !install(run, missing, error)) {
        g_prefix_error(error, "cannot install %s: ", names);
        return FALSE;
    }
    *ret_state = HX_STEP_DONE;
    *ret_detail = g_steal_pointer(&names);
    return TRUE;
}
