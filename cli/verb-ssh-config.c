/* SPDX-License-Identifier: GPL-2.0-or-later */
/* helixvm ssh-config: what plain OpenSSH needs to reach a VM. */
#include <stdio.h>

#include "cli/guest.h"
#include "cli/verb.h"
#include "guest-provision/ssh-config.h"
#include "launcher/monitor/reach.h"

/* The command that connects ssh(1): this program, with what it was told of its directories. */
static char **proxy_command(HxVm *vm, GError **error)
{
    static const char *const variables[] = {"HELIXVM_STATE_DIR", "HELIXVM_RUNTIME_DIR"};
    g_autofree char *program = g_file_read_link("/proc/self/exe", error);
    if (!program)
        return NULL;
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    gboolean has_env = FALSE;
    for (size_t i = 0; i < G_N_ELEMENTS(variables); i++) {
        const char *value = g_getenv(variables[i]);
        if (!value || !*value)
            continue;
        if (!has_env)
            g_strv_builder_add(builder, "env");
        has_env = TRUE;
        g_strv_builder_take(builder, g_strdup_printf("%s=%s", variables[i], value));
    }
    g_strv_builder_add_many(builder, program, "proxy", "--fdpass", hx_vm_name(vm), NULL);
    return g_strv_builder_end(builder);
}

gboolean hx_verb_ssh_config(int argc, char **argv, GError **error)
{
    g_autoptr(HxVm) vm = hx_verb_parse_vm(NULL, &argc, &argv, error);
    if (!vm || !hx_vm_check_known(vm, error))
        return FALSE;
    g_auto(GStrv) proxy = proxy_command(vm, error);
    if (!proxy)
        return FALSE;
    HxGuest guest = hx_verb_guest(vm);
    g_autofree char *text = hx_ssh_config(&guest.login, (const char *const *)proxy, error);
    if (!text)
        return FALSE;
    fputs(text, stdout);
    return TRUE;
}
