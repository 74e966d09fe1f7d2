/* SPDX-License-Identifier: GPL-2.0-or-later */
/* helixvm session logs: what a session and its programs say, from the guest's journal. */
#include "cli/guest.h"
#include "cli/log-journal.h"
#include "cli/log-text.h"
#include "cli/verb.h"
#include "guest-provision/guest-session.h"

typedef struct {
    guint lines;
    gboolean follow, raw;
} Logs;

static gboolean print_line(const char *component, const char *line, gsize length, void *data)
{
    const Logs *logs = data;
    hx_log_write(stdout, line, length, logs->raw);
    return !ferror(stdout) && (!logs->follow || fflush(stdout) == 0);
}

/* Takes @ssh, over which it begins. */
static gboolean print_logs(const Logs *logs, HxVm *vm, HxSsh *ssh, const char *name, GError **error)
{
    g_autofree char *unit = g_strdup_printf("helixvm-session@%s.service", name);
    g_autoptr(HxLogJournal) journal =
        hx_log_journal_new(vm, ssh, unit, logs->lines, logs->follow, error);
    if (!journal)
        return FALSE;
    while (!ferror(stdout) && hx_log_journal_read(journal, print_line, (void *)logs)) {
    }
    /* Where nobody reads any more, the journal's thread has to hear of it too. */
    if (ferror(stdout))
        g_cancellable_cancel(hx_verb_cancellable());
    return ferror(stdout) || hx_log_journal_result(journal, error);
}

/* A journal has nothing to say of a session that there never was. */
static gboolean check_session(HxSsh *ssh, HxVm *vm, const char *name, GError **error)
{
    g_autoptr(GPtrArray) sessions = hx_guest_session_list(ssh, error);
    return sessions && hx_guest_session_find(sessions, hx_vm_name(vm), name, error);
}

static gboolean show(const Logs *logs, HxVm *vm, const char *name, GError **error)
{
    HxGuest guest = hx_verb_guest(vm);
    g_autoptr(HxSsh) ssh = hx_guest_ssh(&guest, error);
    return ssh && check_session(ssh, vm, name, error) &&
           print_logs(logs, vm, g_steal_pointer(&ssh), name, error);
}

gboolean hx_verb_session_logs(int argc, char **argv, GError **error)
{
    g_autofree char *lines = NULL;
    Logs logs = {0};
    const GOptionEntry options[] = {
        {"follow", 'f', 0, G_OPTION_ARG_NONE, &logs.follow,
         "go on with what is added, until Ctrl-C", NULL},
        {"lines", 'n', 0, G_OPTION_ARG_STRING, &lines,
         "the last so many lines (all since the guest started; with --follow 10)", "LINES|all"},
        {"raw", 0, 0, G_OPTION_ARG_NONE, &logs.raw,
         "every byte as it is, also what a terminal would act upon", NULL},
        G_OPTION_ENTRY_NULL,
    };
    if (!hx_verb_parse("[VM] SESSION", options, &argc, &argv, 1, 2, error) ||
        !hx_verb_check_no_vm("session", argc, argv, error) ||
        !hx_log_parse_lines(lines, logs.follow ? HX_LOG_FOLLOW_LINES : G_MAXUINT, &logs.lines,
                            error))
        return FALSE;
    const char *name = argv[argc - 1];
    if (!hx_guest_session_check_name(name, error))
        return FALSE;
    g_autoptr(HxVm) vm = hx_vm_open(hx_verb_vm_before(argc, argv), error);
    return vm && show(&logs, vm, name, error);
}
