/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What fits a guest, by the versions of what it has or its distribution's packages would bring:
 * whether sessions can run there, and whether the parts that were built on the host can.
 *
 * A library runs what was built with an older one, and not always what was built with a newer: of
 * each the guest needs the version that the host built with.  The C library's symbols have versions
 * of their own. */
#include "guest-provision/provision-run.h"
#include "guest-provision/script.h"
#include "launcher/base/error.h"
#include "launcher/base/parts.h"

/* The first whose PipeWire backend renders by GL. */
#define WESTON_NEEDED "13.0"

static const struct {
    const char *key; /* of the facts, of guest/abi and of the distributions */
    const char *name;
    gboolean of_sessions; /* and not of the element */
} libraries[] = {
    {"glibc", "glibc", FALSE},         {"glib", "GLib", FALSE},
    {"gstreamer", "GStreamer", FALSE}, {"libsoup", "libsoup", TRUE},
    {"json-glib", "JSON-GLib", TRUE},
};

static const char *const build_names[] = {
    [HX_BUILD_AUTO] = "auto",
    [HX_BUILD_HOST] = "host",
    [HX_BUILD_GUEST] = "guest",
};

gboolean hx_provision_parse_build(const char *name, HxBuild *ret_build, GError **error)
{
    for (size_t i = 0; i < G_N_ELEMENTS(build_names); i++) {
        if (!g_str_equal(build_names[i], name))
            continue;
        *ret_build = (HxBuild)i;
        return TRUE;
    }
    g_set_error(error, HX_ERROR, HX_ERROR_USAGE,
                "\"%s\" is no way to build: use auto, host or guest", name);
    return FALSE;
}

const char *hx_provision_build_name(HxBuild build)
{
    return build_names[build];
}

/* The guest's version of @key, or what installing would make it; for g_free, NULL: not known. */
static char *version_of(const HxProvisionRun *run, const char *key)
{
    const char *there = hx_facts_get(run->facts, key);
    return there ? g_strdup(there)
                 : hx_distribution_version_of(&run->distribution,
                                              (const char *const *)run->distributions, key);
}

/* Not known is new enough: where it is not, verifying tells. */
static gboolean is_older(const char *version, const char *needed)
{
    return version && needed && hx_version_compare(version, needed) < 0;
}

static gboolean sessions_can_run(const HxProvisionRun *run, GError **error)
{
    static const char *const of_sessions[] = {"packages", "session", "unit", "desktop", NULL};
    const char *vm = run->guest->login.vm;
    g_autofree char *weston = version_of(run, "weston");
    if ((run->scope->only && !g_strv_contains(of_sessions, run->scope->only)) ||
        !is_older(weston, WESTON_NEEDED))
        return TRUE;
    g_set_error(
        error, HX_ERROR, HX_ERROR_GUEST,
        "no session can run in VM \"%s\": Weston there is %s (%s), and sessions need " WESTON_NEEDED
        ": use a guest with that, such as image default; or put the element vsockenc alone "
        "into this one: `helixvm provision --only vsockenc %s`",
        vm, weston, run->distribution.name, vm);
    return FALSE;
}

gboolean hx_provision_find_misfit(const HxProvisionRun *run, char **ret_misfit, GError **error)
{
    g_autofree char *path = hx_part_path("guest/abi", error);
    g_autoptr(GBytes) content = path ? hx_script_read(path, error) : NULL;
    if (!content)
        return FALSE;
    *ret_misfit = NULL;
    const char *machine = hx_facts_get(run->facts, "machine");
    if (!hx_provision_parts_are_for(run, machine)) {
        *ret_misfit = g_strdup_printf("the host's is not for %s", machine);
        return TRUE;
    }
    g_autofree char *text = g_strndup(g_bytes_get_data(content, NULL), g_bytes_get_size(content));
    g_autoptr(HxFacts) abi = hx_facts_new(text);
    g_autoptr(GString) misfit = g_string_new(NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(libraries); i++) {
        if (libraries[i].of_sessions && run->container.engine)
            continue;
        const char *needed = hx_facts_get(abi, libraries[i].key);
        g_autofree char *has = version_of(run, libraries[i].key);
        if (is_older(has, needed))
            g_string_append_printf(misfit, "%s%s %s (the %s has %s)", misfit->len ? ", " : "",
                                   libraries[i].name, needed,
                                   run->container.engine ? "container" : "guest", has);
    }
    if (misfit->len)
        *ret_misfit = g_strdup_printf("the host's needs %s", misfit->str);
    return TRUE;
}

gboolean hx_step_build(HxProvisionRun *run, size_t index, HxStepState *ret_state, char **ret_detail,
                       GError **error)
{
    g_autofree char *misfit = NULL;
    if (!sessions_can_run(run, error) || !hx_provision_find_misfit(run, &misfit, error))
        return FALSE;
    if (misfit && run->scope->build == HX_BUILD_HOST) {
        g_set_error(error, HX_ERROR, HX_ERROR_GUEST,
                    "vsockenc and helixvm-session as they were built do not fit VM \"%s\" (%s): "
                    "%s: leave --build host out, and the guest builds them",
                    run->guest->login.vm, run->distribution.name, misfit);
        return FALSE;
    }
    run->build = run->scope->build == HX_BUILD_AUTO ? (misfit ? HX_BUILD_GUEST : HX_BUILD_HOST)
                                                    : run->scope->build;
    g_free(run->build_reason);
    if (run->scope->build != HX_BUILD_AUTO)
        run->build_reason = g_strdup("as asked for");
    else
        run->build_reason =
            misfit ? g_steal_pointer(&misfit) : g_strdup("what was built there fits");
    if (run->build == HX_BUILD_GUEST)
        hx_provision_forget_parts(run);
    *ret_state = HX_STEP_SEEN;
    *ret_detail = g_strdup_printf(
        "%s: %s", run->build == HX_BUILD_HOST ? "on the host" : "in the guest", run->build_reason);
    return TRUE;
}
