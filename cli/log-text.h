/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lines of logs, some of them a guest's. */
#pragma once

#include <glib.h>
#include <sys/types.h>

/* The @length bytes of @line as a terminal may have them, for g_free: without escape sequences (of
 * colours, of the cursor, of titles), other control characters than tabs and bytes that are no
 * UTF-8 replaced.  Pure. */
char *hx_log_clean(const char *line, gsize length);

/* Where in the file @fd its last @lines lines begin; a last line without its end counts.  0 where
 * there are no more than that, or where it cannot be read. */
off_t hx_log_tail(int fd, guint lines);
