/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Parts that the guest builds itself, of the source that helixvm carries. */
#include "guest-provision/provision-run.h"
#include "guest-provision/script.h"
#include "launcher/base/error.h"
#include "launcher/base/parts.h"

#define BUILD_DIRECTORY "/var/lib/helixvm/build"
#define SOURCE_PATH "/var/lib/helixvm/source.tar"
#define UPLOAD_SECONDS 300
/* An emulated guest with two CPUs takes one to two minutes for both. */
#define BUILD_SECONDS 1800

gboolean hx_provision_read_source(HxProvisionRun *run, GError **error)
{
    g_autofree char *path = hx_part_path("guest/source.tar", error);
    g_clear_pointer(&run->source, g_bytes_unref);
    g_clear_pointer(&run->source_sum, g_free);
    run->source = path ? hx_script_read(path, error) : NULL;
    if (!run->source)
        return FALSE;
    run->source_sum = g_compute_checksum_for_bytes(G_CHECKSUM_SHA256, run->source);
    return TRUE;
}

static gboolean upload_source(HxProvisionRun *run, GError **error)
{
    if (run->source_there)
        return TRUE;
    const char *arguments[] = {"/var/lib/helixvm", NULL};
    run->source_there =
        hx_script_run(run->ssh, "directories.sh", arguments, HX_STEP_SCRIPT_SECONDS, NULL, error) &&
        hx_ssh_upload(run->ssh, run->source, SOURCE_PATH, 0644, UPLOAD_SECONDS, error);
    return run->source_there;
}

gboolean hx_provision_build(HxProvisionRun *run, const char *part, const char *path, guint mode,
                            char **ret_sum, char **ret_detail, GError **error)
{
    g_autofree char *installed = NULL;
    if ((!run->source_there && !hx_provision_install(run, "unbuildable", &installed, error)) ||
        !upload_source(run, error))
        return FALSE;
    g_autofree char *name = g_path_get_basename(part);
    g_autofree char *octal = g_strdup_printf("%o", mode);
    const char *arguments[] = {BUILD_DIRECTORY, SOURCE_PATH, run->source_sum, name, path,
                               octal,           NULL};
    g_autofree char *output = NULL;
    if (!hx_script_run(run->ssh, "build.sh", arguments, BUILD_SECONDS, &output, error)) {
        g_prefix_error(error, "cannot build %s in the guest: ", name);
        return FALSE;
    }
    g_autoptr(HxFacts) facts = hx_facts_new(output);
    *ret_sum = hx_facts_sum(facts, "built", path);
    if (!*ret_sum) {
        g_set_error(error, HX_ERROR, HX_ERROR_GUEST,
                    "VM \"%s\" did not tell the checksum of %s, which it built",
                    run->guest->login.vm, path);
        return FALSE;
    }
    *ret_detail = installed ? g_strdup_printf("%s, built there with %s", path, installed)
                            : g_strdup_printf("%s, built there", path);
    return TRUE;
}
