/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/log-journal.h"

#include <fcntl.h>
#include <glib-unix.h>
#include <string.h>
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
    HxSsh *ssh; /* until the thread has begun with it; NULL: there was none */
    char *unit;
    guint lines;
    gboolean follow;
    int read_fd, write_fd;
    GThread *thread;
    GString *begun; /* a line without its end */
    GError *error;  /* the thread's until its end of file */
};

static char *command_line(const HxLogJournal *journal, guint lines)
{
    g_autoptr(GString) command = g_string_new("journalctl --no-pager -o short-iso");
    if (lines == G_MAXUINT)
        g_string_append(command, " -b -n all");
    else
        g_string_append_printf(command, " -n %u", lines);
    if (journal->unit) {
        g_autofree char *unit = g_shell_quote(journal->unit);
        g_string_append_printf(command, " --unit %s", unit);
    }
    if (journal->follow)
        g_string_append(command, " --follow");
    return g_string_free(g_steal_pointer(&command), FALSE);
}

static gboolean read_once(HxLogJournal *journal, guint lines, gboolean *ret_reached, GError **error)
{
    HxGuest guest = hx_verb_guest(journal->vm);
    g_autoptr(HxSsh) ssh = g_steal_pointer(&journal->ssh);
    if (!ssh)
        ssh = hx_guest_ssh(&guest, error);
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

HxLogJournal *hx_log_journal_new(HxVm *vm, HxSsh *ssh, const char *unit, guint lines,
                                 gboolean follow, GError **error)
{
    int ends[2];
    g_autoptr(HxSsh) first = ssh;
    if (!g_unix_open_pipe(ends, O_CLOEXEC, error))
        return NULL;
    HxLogJournal *journal = g_new0(HxLogJournal, 1);
    journal->vm = vm;
    journal->ssh = g_steal_pointer(&first);
    journal->unit = g_strdup(unit);
    journal->begun = g_string_new(NULL);
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
    g_string_free(journal->begun, TRUE);
    g_free(journal->unit);
    g_free(journal);
}

int hx_log_journal_fd(HxLogJournal *journal)
{
    return journal->read_fd;
}

gboolean hx_log_journal_read(HxLogJournal *journal, HxLogSink *sink, void *data)
{
    char buffer[16384];
    ssize_t n = read(journal->read_fd, buffer, sizeof buffer);
    if (n <= 0)
        return n < 0 && errno == EINTR;
    g_string_append_len(journal->begun, buffer, n);
    const char *end;
    while ((end = memchr(journal->begun->str, '\n', journal->begun->len))) {
        gsize length = end - journal->begun->str;
        sink(HX_LOG_JOURNAL, journal->begun->str, length, data);
        g_string_erase(journal->begun, 0, length + 1);
    }
    return TRUE;
}

gboolean hx_log_journal_result(HxLogJournal *journal, GError **error)
{
    if (journal->error)
        g_propagate_error(error, g_steal_pointer(&journal->error));
    return !error || !*error;
}
