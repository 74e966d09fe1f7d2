/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The user's terminal, lent to a guest: raw, and as it was before on every way out. */
#pragma once

#include <glib.h>

/* Make the terminal on stdin pass every key on, and see that signals which would end the process
 * put it back first.  FALSE with HX_ERROR_HOST.  Main thread, once. */
gboolean hx_terminal_begin_raw(GError **error);

/* Put it back, where it is raw.  Any thread, any number of times; async-signal-safe. */
void hx_terminal_restore(void);

/* The size of the terminal on stdin; 80 x 24 where there is none, or it does not know. */
void hx_terminal_size(guint *ret_columns, guint *ret_rows);

/* An eventfd(2) that is counted up where the size may have changed; -1 where there is none to have.
 * It lives as long as the process. */
int hx_terminal_watch_size(void);

/* Stop this process as Ctrl-Z would, with the terminal as it was; raw again when it goes on. */
void hx_terminal_suspend(void);
