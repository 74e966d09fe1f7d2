/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whether what was put into a guest works there. */
#include "guest-provision/provision-run.h"
#include "guest-provision/script.h"
#include "launcher/base/error.h"
#include "launcher/base/parts.h"

/* Of a program that verifies; the rest is for those that do not end by a signal at once. */
#define VERIFY_SECONDS "60"
/* Two of them one after the other, and some. */
#define SCRIPT_SECONDS 180
/* It was seen to hang in one of some hundred guests with an emulated GPU. */
#define VERIFY_TRIES 2

char *hx_provision_verification_key(HxProvisionRun *run, const char *name, GError **error)
{
    g_autofree char *file = g_strconcat("guest-provision/steps/", name, NULL);
    g_autofree char *path = hx_data_path(file, error);
    g_autoptr(GBytes) script = path ? hx_script_read(path, error) : NULL;
    if (!script)
        return NULL;
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
    gsize size;
    const guchar *bytes = g_bytes_get_data(script, &size);
    g_checksum_update(sum, bytes, size);
    hx_provision_sum_parts(run, sum);
    return g_strdup(g_checksum_get_string(sum));
}

/* Whether what verify.sh told is good; @hung as of run_verify. */
static gboolean check_verified(const HxProvisionRun *run, const char *hung, GError **error)
{
    const char *vm = run->guest->login.vm;
    if (hx_facts_get(run->verified, "hung")) {
        g_set_error(error, HX_ERROR, HX_ERROR_GUEST,
                    "what verifies the guest's parts hangs in VM \"%s\", within " VERIFY_SECONDS
                    " s and again: %s: try again after `helixvm restart %s`",
                    vm, hung, vm);
        return FALSE;
    }
    gboolean loads = hx_facts_get(run->verified, "element") != NULL;
    if (loads && hx_facts_get(run->verified, "frame"))
        return TRUE;
    const char *why = hx_facts_get(run->verified, loads ? "frame-error" : "element-error");
    if (loads)
        g_set_error(error, HX_ERROR, HX_ERROR_GUEST,
                    "the element vsockenc of VM \"%s\" gets no frame encoded by the host: %s: see "
                    "`helixvm logs %s encoder`",
                    vm, why ? why : "gst-launch-1.0 did not say why", vm);
    else
        g_set_error(error, HX_ERROR, HX_ERROR_GUEST,
                    "the element vsockenc does not load in VM \"%s\": %s", vm,
                    why ? why : "gst-inspect-1.0 did not say why");
    return FALSE;
}

/* Have the guest verify its parts: run->verified, and in *ret_hung, for g_free, what hung in the
 * last try that did, with what its processes waited for. */
static gboolean run_verify(HxProvisionRun *run, const char *key, char **ret_hung, GError **error)
{
    const char *arguments[] = {key, VERIFY_SECONDS, NULL};
    for (int i = 0; i < VERIFY_TRIES; i++) {
        g_autofree char *output = NULL;
        if (!hx_script_run(run->ssh, "verify.sh", arguments, SCRIPT_SECONDS, &output, error))
            return FALSE;
        g_clear_pointer(&run->verified, hx_facts_free);
        run->verified = hx_facts_new(output);
        const char *hung = hx_facts_get(run->verified, "hung");
        if (!hung)
            return TRUE;
        g_autofree const char **processes = hx_facts_all(run->verified, "late");
        g_autofree char *late = g_strjoinv("; ", (char **)processes);
        g_free(*ret_hung);
        *ret_hung = g_strdup_printf("%s (%s)", hung, late);
    }
    return TRUE;
}

gboolean hx_provision_verification_due(HxProvisionRun *run, const HxFacts *facts, const char *name,
                                       const char *key)
{
    g_autofree const char **lines = hx_facts_all(facts, name);
    g_autofree char *earlier = g_strjoinv("\n", (char **)lines);
    g_clear_pointer(&run->verified, hx_facts_free);
    run->verified = hx_facts_new(earlier);
    return run->changed || run->needed || g_strcmp0(hx_facts_get(run->verified, "key"), key) != 0;
}

gboolean hx_step_verify(HxProvisionRun *run, size_t index, HxStepState *ret_state,
                        char **ret_detail, GError **error)
{
    g_autofree char *key = hx_provision_verification_key(run, "verify.sh", error);
    if (!key)
        return FALSE;
    g_autofree char *hung = NULL;
    gboolean due = hx_provision_verification_due(run, run->facts, "verified", key);
    if (due && run->scope->check) {
        *ret_state = HX_STEP_DONE;
        return TRUE;
    }
    if (due) {
        if (!run_verify(run, key, &hung, error))
            return FALSE;
        *ret_state = HX_STEP_SEEN;
    }
    if (!check_verified(run, hung, error))
        return FALSE;
    const char *gl = hx_facts_get(run->verified, "gl");
    const char *vulkan = hx_facts_get(run->verified, "vulkan");
    *ret_detail = g_strdup_printf("a frame there and back, GL %s, Vulkan %s%s%s", gl ? gl : "none",
                                  vulkan ? vulkan : "none", hung ? "; hung at the first try: " : "",
                                  hung ? hung : "");
    return TRUE;
}
