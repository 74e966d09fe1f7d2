/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/guest-command.h"

#include <signal.h>
#include <string.h>

#include "cli/verb.h"
#include "launcher/base/error.h"
#include "launcher/monitor/reach.h"

#define GRACE_SECONDS 10

/* As ssh(1) has it: what the guest's command exits with is then seldom taken for our own failure.
 */
#define FAILURE_STATUS 255

static gboolean is_vm(const char *name)
{
    g_autoptr(HxVm) vm = hx_vm_open(name, NULL);
    return vm && hx_vm_check_known(vm, NULL);
}

/* What was meant where nothing separates the command from what is the verb's, whose options its
 * own are then taken for: "exec work uname -a".  For g_free; NULL where there is no command. */
static char *separated(int argc, char **argv)
{
    int begin = 1;
    while (begin < argc && argv[begin][0] == '-')
        begin++;
    if (begin + 1 < argc && is_vm(argv[begin]))
        begin++;
    else if (begin + 1 >= argc)
        return NULL; /* "ssh --nonsense work" */
    if (argv[begin][0] == '-')
        return NULL; /* "ssh work --nonsense" */
    g_autofree char **words = g_new0(char *, begin + 1);
    memcpy(words, argv, begin * sizeof *argv);
    g_autofree char *before = g_strjoinv(" ", words);
    g_autofree char *command = g_strjoinv(" ", argv + begin);
    return g_strdup_printf("helixvm %s -- %s", before, command);
}

void hx_guest_command_split(HxGuestCommand *command, int argc, char **argv)
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
}

gboolean hx_guest_command_parse(HxGuestCommand *command, const char *arguments,
                                const GOptionEntry *options, int argc, char **argv, GError **error)
{
    hx_verb_set_failure_status(FAILURE_STATUS);
    hx_guest_command_split(command, argc, argv);
    char **head = command->head;
    g_autoptr(GError) cause = NULL;
    if (hx_verb_parse(arguments, options, &command->n_head, &head, 0, 1, &cause))
        return TRUE;
    /* Without "--" the head is all. */
    g_autofree char *meant = command->words > argv + argc ? separated(argc, argv) : NULL;
    if (meant)
        g_set_error(error, HX_ERROR, HX_ERROR_USAGE, "put -- before the command: %s", meant);
    else
        g_propagate_error(error, g_steal_pointer(&cause));
    return FALSE;
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
    g_autoptr(GError) cause = NULL;
    g_autoptr(HxSsh) ssh = hx_guest_ssh(&guest, &cause);
    if (!ssh) {
        if (!g_error_matches(cause, HX_ERROR, HX_ERROR_CANCELLED))
            hx_verb_explain_guest(vm, &cause);
        g_propagate_error(error, g_steal_pointer(&cause));
        return FALSE;
    }
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
