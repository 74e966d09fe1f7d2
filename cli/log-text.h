/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lines of logs, some of them a guest's. */
#pragma once

#include <glib.h>
#include <stdio.h>
#include <sys/types.h>

/* What logs begin with that are followed. */
#define HX_LOG_FOLLOW_LINES 10

/* The @length bytes of @line as a terminal may have them, for g_free: without escape sequences (of
 * colours, of the cursor, of titles), other control characters than tabs and bytes that are no
 * UTF-8 replaced.  Pure. */
char *hx_log_clean(const char *line, gsize length);

/* Where in the file @fd its last @lines lines begin; a last line without its end counts.  0 where
 * there are no more than that, or where it cannot be read. */
off_t hx_log_tail(int fd, guint lines);

/* Write @line to @file, with its end: as hx_log_clean has it, or with @raw every byte. */
void hx_log_write(FILE *file, const char *line, gsize length, gboolean raw);

/* How many lines a verb's --lines @text asks for: G_MAXUINT for "all", @standard where it is NULL.
 * HX_ERROR_USAGE. */
gboolean hx_log_parse_lines(const char *text, guint standard, guint *ret_lines, GError **error);
