/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A guest's journal, read over SSH by a thread. */
#pragma once

#include "launcher/vm/vm.h"

typedef struct HxLogJournal HxLogJournal;

/* Start to read the last @lines (G_MAXUINT: all) lines of the journal in the guest of @vm, which
 * must outlive what is returned; with @follow also what is added, through restarts of the VM.  It
 * ends where the signals that end a verb come.  NULL with @error where there is no descriptor left.
 */
HxLogJournal *hx_log_journal_new(HxVm *vm, guint lines, gboolean follow, GError **error);
/* Waits for the thread's end. */
void hx_log_journal_free(HxLogJournal *journal);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HxLogJournal, hx_log_journal_free)

/* What comes, bytes up to the end of file; it stays the journal's own. */
int hx_log_journal_fd(HxLogJournal *journal);

/* After the end of file: FALSE with @error where it could not be read. */
gboolean hx_log_journal_result(HxLogJournal *journal, GError **error);
