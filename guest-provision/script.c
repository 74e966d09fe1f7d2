/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guest-provision/script.h"

#include <string.h>

#include "guest-provision/ssh-private.h"
#include "launcher/base/error.h"
#include "launcher/base/parts.h"

GBytes *hx_script_read(const char *path, GError **error)
{
    char *text = NULL;
    gsize size = 0;
    g_autoptr(GError) cause = NULL;
    if (g_file_get_contents(path, &text, &size, &cause))
        return g_bytes_new_take(text, size);
    g_set_error(error, HX_ERROR, HX_ERROR_HOST, "%s", cause->message);
    return NULL;
}

char *hx_script_explain(const char *stderr_text)
{
    static const struct {
        const char *says;
        const char *means;
    } causes[] = {
        {"No space left on device", "the guest's disk is full"},
        {"Could not get lock", "another apt or dpkg is at work in the guest: try again later"},
        {"Unable to acquire the dpkg",
         "another apt or dpkg is at work in the guest: try again later"},
        {"Temporary failure resolving", "the guest has no network to fetch packages by"},
        {"Could not resolve", "the guest has no network to fetch packages by"},
        {"Read-only file system", "the guest's file system is read-only"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(causes); i++)
        if (strstr(stderr_text, causes[i].says))
            return g_strdup(causes[i].means);
    g_autofree char *valid = g_utf8_make_valid(stderr_text, -1);
    g_strchomp(valid);
    const char *last = strrchr(valid, '\n');
    return g_strdup(*valid ? (last ? last + 1 : valid) : "it did not say why");
}

gboolean hx_script_run(HxSsh *ssh, const char *name, const char *const *arguments, guint seconds,
                       char **ret_output, GError **error)
{
    g_autofree char *file = g_strconcat("guest-provision/steps/", name, NULL);
    g_autofree char *path = hx_data_path(file, error);
    g_autoptr(GBytes) script = path ? hx_script_read(path, error) : NULL;
    if (!script)
        return FALSE;
    /* The shell has read all of the script before it runs: commands in it find an empty stdin. */
    g_autoptr(GString) command = g_string_new("sh -c \"$(cat)\" sh");
    for (; arguments && *arguments; arguments++) {
        g_autofree char *quoted = g_shell_quote(*arguments);
        g_string_append_printf(command, " %s", quoted);
    }
    g_auto(HxSshOutput) output = {};
    if (!hx_ssh_run(ssh, command->str, script, seconds, &output, error))
        return FALSE;
    if (output.exit_status != 0) {
        g_autofree char *why = hx_script_explain(output.err->str);
        g_set_error(error, HX_ERROR, HX_ERROR_GUEST, "%s failed in VM \"%s\" with status %d: %s",
                    name, ssh->vm, output.exit_status, why);
        return FALSE;
    }
    if (ret_output)
        *ret_output = g_string_free(g_steal_pointer(&output.out), FALSE);
    return TRUE;
}
