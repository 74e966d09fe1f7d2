/* SPDX-License-Identifier: GPL-2.0-or-later */
/* helixvm exec: run a command in the guest; its output and exit status become this verb's. */
#include <string.h>
#include <unistd.h>

#include "cli/guest.h"
#include "cli/verb.h"
#include "launcher/base/error.h"

gboolean hx_verb_exec(int argc, char **argv, GError **error)
{
    /* What follows "--" is the command's, options too: the parser never sees it. */
    int end = 1;
    while (end < argc && !g_str_equal(argv[end], "--"))
        end++;
    int n_words = argc - end - 1;
    char **words = argv + end + 1;

    /* The parser shifts what it is given: a list of its own. */
    g_autofree char **head = g_new0(char *, end + 1);
    memcpy(head, argv, end * sizeof *head);
    char **mine = head;
    if (!hx_verb_parse("[VM] -- COMMAND [ARGUMENT...]", NULL, &end, &mine, 0, 1, error))
        return FALSE;
    if (n_words < 1) {
        g_set_error(error, HX_ERROR, HX_ERROR_USAGE,
                    "no command: helixvm exec [NAME] -- COMMAND [ARGUMENT...]");
        return FALSE;
    }
    g_autoptr(HxVm) vm = hx_vm_open(hx_verb_vm_name(end, mine, 1), error);
    if (!vm)
        return FALSE;
    HxGuest guest = hx_verb_guest(vm);
    g_autoptr(HxSsh) ssh = hx_guest_ssh(&guest, error);
    if (!ssh)
        return FALSE;
    g_autofree char *command = hx_verb_quote(n_words, words);
    int status = 0;
    if (!hx_ssh_pass(ssh, command, STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO, &status, error))
        return FALSE;
    hx_verb_set_exit_status(status);
    return TRUE;
}
