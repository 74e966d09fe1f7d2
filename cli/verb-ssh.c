/* SPDX-License-Identifier: GPL-2.0-or-later */
/* helixvm ssh: a shell, or a command, in the guest, with the user's terminal. */
#include <unistd.h>

#include "cli/guest-command.h"
#include "cli/terminal.h"
#include "cli/verb.h"
#include "launcher/base/error.h"

static gboolean has_terminal(gboolean wanted, gboolean unwanted)
{
    return !unwanted && (wanted || (isatty(STDIN_FILENO) && isatty(STDOUT_FILENO)));
}

gboolean hx_verb_ssh(int argc, char **argv, GError **error)
{
    gboolean wanted = FALSE, unwanted = FALSE;
    const GOptionEntry options[] = {
        {"tty", 't', 0, G_OPTION_ARG_NONE, &wanted,
         "a terminal in the guest, also where stdin or stdout is none", NULL},
        {"no-tty", 'T', 0, G_OPTION_ARG_NONE, &unwanted, "no terminal in the guest", NULL},
        G_OPTION_ENTRY_NULL,
    };
    g_auto(HxGuestCommand) command = {0};
    if (!hx_guest_command_parse(&command, "[VM] [-- COMMAND [ARGUMENT...]]", options, argc, argv,
                                error))
        return FALSE;
    if (wanted && unwanted) {
        g_set_error_literal(
            error, HX_ERROR, HX_ERROR_USAGE,
            "-t asks for a terminal in the guest and -T for none: give one of them");
        return FALSE;
    }
    g_autoptr(HxVm) vm = hx_vm_open(hx_verb_vm_name(command.n_head, command.head, 1), error);
    if (!vm)
        return FALSE;
    /* As ssh(1) does: one line for the guest's shell. */
    g_autofree char *line = NULL;
    if (command.n_words > 0)
        line = g_strjoinv(" ", command.words);
    const char *type = g_getenv("TERM");
    HxSshTerminal terminal = {
        .type = type && *type ? type : "dumb",
        .changed_fd = -1,
        .size = hx_terminal_size,
        .suspend = hx_terminal_suspend,
        .begin = isatty(STDIN_FILENO) ? hx_terminal_begin_raw : NULL,
    };
    HxSshJoin join = {
        .command = line,
        .input_fd = STDIN_FILENO,
        .output_fd = STDOUT_FILENO,
        .error_fd = STDERR_FILENO,
    };
    if (has_terminal(wanted, unwanted)) {
        join.terminal = &terminal;
        terminal.changed_fd = hx_terminal_watch_size();
    }
    gboolean done = hx_guest_command_run(vm, &join, error);
    hx_terminal_restore();
    return done;
}
