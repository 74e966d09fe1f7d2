/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/log-journal.h"

#include <fcntl.h>
#include <glib-unix.h>
#include <unistd.h>

#include "cli/guest.h"
#include "cli/verb.h"
#include "launcher/base/error.h"
#include "launcher/base/fd.h"
#include "launcher/base/pause.h"

/* No event tells that a VM that is down comes up: so often is it tried. */
#define RETRY_MS 1000

struct HxLogJournal {
    HxVm *vm;
    guint lines;
    gboolean follow;
    int read_fd, write_fd;
    GThread *thread;
    GError *error; /* the thread's until its end of file */
};

static char *command_line(const HxLogJournal *journal, guint lines)
{
    const char *follow = journal->follow ? " --follow" : "";
    if (lines == G_MAXUINT)
        return g_strdup_printf("journalctl --no-pager -o short-iso -b -n all%s", follow);
    return g_strdup_printf("journalctl --no-pager -o short-iso -n %u%s", lines, follow);
}

static gboolean read_once(HxLogJournal *journal, guint lines, gboolean *ret_reached, GError **error)
{
    HxGuest guest = hx_verb_guest(journal->vm);
    g_autoptr(HxSsh) ssh = hx_guest_ssh(&guest, error);
    *ret_reached = ssh != NULL;
    if (!ssh)
        return FALSE;
    g_autofree char *command = command_line(journal, lines);
    g_autofree char *all = g_strconcat(command, " 2>&1", NULL);
    HxSshJoin join = {
        .command = all, .input_fd = -1, .output_fd = journal->write_fd, .error_fd = -1};
    int status = 0;
    if (!hx_ssh_join(ssh, &join, &status, error))
        return FALSE;
    if (status == 0)
        return TRUE;
    g_set_error(error, HX_ERROR, HX_ERROR_GUEST,
                "journalctl failed in VM \"%s\" with status %d: what it said is above",
                hx_vm_name(journal->vm), status);
    return FALSE;
}

static void *read_journal(void *data)
{
    HxLogJournal *journal = data;
    guint lines = journal->lines;
    for (;;) {
        g_autoptr(GError) error = NULL;
        gboolean reached = FALSE;
        gboolean good = read_once(journal, lines, &reached, &error);
        gboolean interrupted = g_cancellable_is_cancelled(hx_verb_cancellable());
        if (!journal->follow || interrupted) {
            if (!good && !interrupted)
                journal->error = g_steal_pointer(&error);
            break;
        }
        /* A connection that broke goes on; a guest that cannot be reached is down or boots, and
         * its next boot is all new. */
        lines = reached ? 0 : G_MAXUINT;
        hx_pause(RETRY_MS, hx_verb_cancellable());
    }
    hx_close(&journal->write_fd);
    return NULL;
}

HxLogJournal *hx_log_journal_new(HxVm *vm, guint lines, gboolean follow, GError **error)
{
    int ends[2];
    if (!g_unix_open_pipe(ends, O_CLOEXEC, error))
        return NULL;
    HxLogJournal *journal = g_new0(HxLogJournal, 1);
    journal->vm = vm;
    journal->lines = lines;
    journal->follow = follow;
    journal->read_fd = ends[0];
    journal->write_fd = ends[1];
    journal->thread = g_thread_new("journal", read_journal, journal);
    return journal;
}

void hx_log_journal_free(HxLogJournal *journal)
{
    if (!journal)
        return;
    /* Nobody reads any more: a thread that writes ends. */
    hx_close(&journal->read_fd);
    g_thread_join(journal->thread);
    g_clear_error(&journal->error);
    g_free(journal);
}

int hx_log_journal_fd(HxLogJournal *journal)
{
    return journal->read_fd;
}

gboolean hx_log_journal_result(HxLogJournal *journal, GError **error)
{
    if (journal->error)
        g_propagate_error(error, g_steal_pointer(&journal->error));
    return !error || !*error;
}
