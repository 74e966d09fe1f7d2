/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/guest-command.h"

#include <signal.h>
#include <string.h>

#include "cli/verb.h"

#define GRACE_SECONDS 10

gboolean hx_guest_command_parse(HxGuestCommand *command, const char *arguments,
                                const GOptionEntry *options, int argc, char **argv, GError **error)
{
    int end = 1;
    while (end < argc && !g_str_equal(argv[end], "--"))
        end++;
    command->n_words = MAX(argc - end - 1, 0);
    command->words = argv + end + 1;
    /* The parser shifts what it is given: a list of its own. */
    command->head = g_new0(char *, end + 1);
    memcpy(command->head, argv, end * sizeof *argv);
    command->n_head = end;
    char **head = command->head;
    return hx_verb_parse(arguments, options, &command->n_head, &head, 0, 1, error);
}

void hx_guest_command_clear(HxGuestCommand *command)
{
    g_clear_pointer(&command->head, g_free);
}

static const char *signal_name(void)
{
    switch (hx_verb_signal()) {
    case SIGTERM:
        return "TERM";
    case SIGHUP:
        return "HUP";
    default:
        return "INT";
    }
}

gboolean hx_guest_command_run(HxVm *vm, HxSshJoin *join, GError **error)
{
    HxGuest guest = hx_verb_guest(vm);
    g_autoptr(HxSsh) ssh = hx_guest_ssh(&guest, error);
    if (!ssh)
        return FALSE;
    if (!join->terminal) {
        hx_ssh_set_grace(ssh, GRACE_SECONDS);
        join->interrupt = hx_verb_cancellable();
        join->interrupt_signal = signal_name;
    }
    int status = 0;
    if (!hx_ssh_join(ssh, join, &status, error))
        return FALSE;
    hx_verb_set_exit_status(status);
    return TRUE;
}
