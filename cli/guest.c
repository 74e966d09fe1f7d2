/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/guest.h"

#include "cli/verb.h"
#include "launcher/monitor/reach.h"

static int connect_vm(guint32 port, void *data, GCancellable *cancel, GError **error)
{
    /* A VM that is not there is more than down. */
    return hx_vm_check_known(data, error) ? hx_vm_connect(data, port, cancel, error) : -1;
}

HxGuest hx_verb_guest(HxVm *vm)
{
    return (HxGuest){
        .connect = connect_vm,
        .data = vm,
        .cancel = hx_verb_cancellable(),
        .login = {.vm = hx_vm_name(vm),
                  .identity = hx_vm_identity_path(vm),
                  .known_hosts = hx_vm_known_hosts_path(vm)},
    };
}

char *hx_verb_quote(int argc, char **argv)
{
    g_autoptr(GString) command = g_string_new(NULL);
    for (int i = 0; i < argc; i++) {
        g_autofree char *quoted = g_shell_quote(argv[i]);
        g_string_append_printf(command, "%s%s", i ? " " : "", quoted);
    }
    return g_string_free(g_steal_pointer(&command), FALSE);
}
