/* SPDX-License-Identifier: GPL-2.0-or-later */
/* helixvm proxy: connects a program to the guest's SSH port, for `ssh-config`; not for people.
 *
 * The host key is pinned before the program sees the connection: it is then the same that helixvm
 * itself accepts, and the program need not accept any on its own. */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/guest.h"
#include "cli/relay.h"
#include "cli/verb.h"
#include "launcher/base/error.h"
#include "launcher/base/fd-passing.h"
#include "launcher/base/fd.h"

static gboolean pin_host_key(HxVm *vm, const HxGuest *guest, GError **error)
{
    if (g_file_test(hx_vm_known_hosts_path(vm), G_FILE_TEST_EXISTS))
        return TRUE;
    g_autoptr(HxSsh) ssh = hx_guest_ssh(guest, error);
    return ssh != NULL;
}

/* Hand @fd over on stdout: one byte with it, as ssh(1) awaits it (ProxyUseFdpass). */
static gboolean pass_fd(int fd, GError **error)
{
    char byte = 0;
    const struct iovec data = {&byte, 1};
    ssize_t n = hx_send_fds(STDOUT_FILENO, &data, 1, &fd, 1, 0);
    if (n == 1)
        return TRUE;
    hx_set_error_errno(error, HX_ERROR_USAGE, -n,
                       "cannot hand the connection over on stdout, which --fdpass wants to be "
                       "a Unix socket");
    return FALSE;
}

gboolean hx_verb_proxy(int argc, char **argv, GError **error)
{
    gboolean fdpass = FALSE;
    const GOptionEntry options[] = {
        {"fdpass", 0, 0, G_OPTION_ARG_NONE, &fdpass,
         "hand the connection over on stdout, a Unix socket, in place of passing bytes", NULL},
        G_OPTION_ENTRY_NULL,
    };
    g_autoptr(HxVm) vm = hx_verb_parse_vm(options, &argc, &argv, error);
    if (!vm)
        return FALSE;
    HxGuest guest = hx_verb_guest(vm);
    if (!pin_host_key(vm, &guest, error))
        return FALSE;
    hx_autofd int fd = guest.connect(HX_GUEST_SSH_PORT, guest.data, guest.cancel, error);
    if (fd < 0)
        return FALSE;
    return fdpass ? pass_fd(fd, error)
                  : hx_relay(STDIN_FILENO, STDOUT_FILENO, fd, hx_verb_cancellable(), error);
}
