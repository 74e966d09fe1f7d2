/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/guest.h"

#include "cli/verb.h"
#include "cli/vm-status.h"
#include "launcher/base/error.h"
#include "launcher/monitor/reach.h"

void hx_verb_explain_guest(HxVm *vm, GError **error)
{
    static const struct {
        const char *state, *text;
    } states[] = {
        {"starting", "is starting: `helixvm up %s` waits until it is ready"},
        {"rebooting", "is rebooting: `helixvm up %s` waits until it is ready"},
        {"stopping", "is powering off: `helixvm up %s` starts it again"},
        {"failing", "has failed, and is about to end: `helixvm status %s` then says why"},
    };
    g_autoptr(JsonObject) status = hx_vm_status_brief(vm, NULL, NULL);
    const char *state =
        status ? json_object_get_string_member_with_default(status, "state", "") : "";
    g_autoptr(GString) text = g_string_new(NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(states); i++)
        if (g_str_equal(state, states[i].state)) {
            g_string_assign(text, states[i].text);
            g_string_replace(text, "%s", hx_vm_name(vm), 0);
        }
    if (g_str_equal(state, "paused"))
        g_string_printf(text, "is paused: `virsh resume %s` lets it go on",
                        json_object_get_string_member_with_default(status, "domain", "DOMAIN"));
    if (g_str_equal(state, "unknown"))
        g_string_printf(text, "cannot be reached: %s",
                        json_object_get_string_member_with_default(status, "reason", ""));
    if (text->len == 0)
        return;
    g_clear_error(error);
    g_set_error(error, HX_ERROR, HX_ERROR_NOT_RUNNING, "VM \"%s\" %s", hx_vm_name(vm), text->str);
}

static int connect_vm(guint32 port, void *data, GCancellable *cancel, GError **error)
{
    /* A VM that is not there is more than down. */
    if (!hx_vm_check_known(data, error))
        return -1;
    g_autoptr(GError) cause = NULL;
    int fd = hx_vm_connect(data, port, cancel, &cause);
    if (fd >= 0)
        return fd;
    if (!g_error_matches(cause, HX_ERROR, HX_ERROR_CANCELLED))
        hx_verb_explain_guest(data, &cause);
    g_propagate_error(error, g_steal_pointer(&cause));
    return -1;
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
