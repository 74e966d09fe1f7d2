/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A guest's journal, read over SSH by a thread. */
#pragma once

#include "cli/log-files.h"
#include "guest-provision/ssh.h"
#include "launcher/vm/vm.h"

/* The component that it is. */
#define HX_LOG_JOURNAL "guest"

typedef struct HxLogJournal HxLogJournal;

/* Start to read the last @lines (G_MAXUINT: all) lines of the journal in the guest of @vm, which
 * must outlive what is returned, or those of the systemd unit @unit alone (NULL: of all); with
 * @follow also what is added, through restarts of the VM.  It begins over @ssh, where that is not
 * NULL, which is taken over also where this fails.  It ends where the signals that end a verb come.
 * NULL with @error where there is no descriptor left. */
HxLogJournal *hx_log_journal_new(HxVm *vm, HxSsh *ssh, const char *unit, guint lines,
                                 gboolean follow, GError **error);
/* Waits for the thread's end. */
void hx_log_journal_free(HxLogJournal *journal);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HxLogJournal, hx_log_journal_free)

/* Readable where there is something for hx_log_journal_read; it stays the journal's own. */
int hx_log_journal_fd(HxLogJournal *journal);

/* Wait for what comes next and pass its whole lines on, as HX_LOG_JOURNAL's.  FALSE at the end. */
gboolean hx_log_journal_read(HxLogJournal *journal, HxLogSink *sink, void *data);

/* After the end of file: FALSE with @error where it could not be read. */
gboolean hx_log_journal_result(HxLogJournal *journal, GError **error);
