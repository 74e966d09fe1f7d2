/* SPDX-License-Identifier: GPL-2.0-or-later */
/* helixvm exec: run a command in the guest; its output and exit status become this verb's. */
#include <unistd.h>

#include "cli/guest-command.h"
#include "cli/verb.h"
#include "launcher/base/error.h"

gboolean hx_verb_exec(int argc, char **argv, GError **error)
{
    g_auto(HxGuestCommand) command = {0};
    if (!hx_guest_command_parse(&command, "[VM] -- COMMAND [ARGUMENT...]", NULL, argc, argv, error))
        return FALSE;
    if (command.n_words < 1) {
        g_set_error(error, HX_ERROR, HX_ERROR_USAGE,
                    "no command: helixvm exec [VM] -- COMMAND [ARGUMENT...]");
        return FALSE;
    }
    g_autoptr(HxVm) vm = hx_vm_open(hx_verb_vm_name(command.n_head, command.head, 1), error);
    if (!vm)
        return FALSE;
    g_autofree char *text = hx_verb_quote(command.n_words, command.words);
    HxSshJoin join = {
        .command = text,
        .input_fd = STDIN_FILENO,
        .output_fd = STDOUT_FILENO,
        .error_fd = STDERR_FILENO,
    };
    return hx_guest_command_run(vm, &join, error);
}
