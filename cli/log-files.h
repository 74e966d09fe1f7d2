/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The logs of a VM that are files, read to their end and beyond. */
#pragma once

#include <gio/gio.h>

/* One whole line of @component's, without its end.  FALSE: no more. */
typedef gboolean HxLogSink(const char *component, const char *line, gsize length, void *data);

typedef struct HxLogFile HxLogFile;

/* The log of @component at @path, which need not be there yet. */
HxLogFile *hx_log_file_new(const char *component, const char *path, HxLogSink *sink, void *data);
void hx_log_file_free(HxLogFile *file);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HxLogFile, hx_log_file_free)

/* Pass on its last @lines lines (G_MAXUINT: all).  FALSE with HX_ERROR_NOT_FOUND where it is not
 * there, HX_ERROR_HOST where it cannot be read. */
gboolean hx_log_file_read(HxLogFile *file, guint lines, GError **error);

/* From now on pass on what is added, from the default main context, also where the file is cut off
 * or replaced. */
void hx_log_file_follow(HxLogFile *file);
