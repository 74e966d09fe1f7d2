/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How far a transfer is, on stderr: a line that is kept up to date with the rate and the time left
 * on a terminal, elsewhere a line every few seconds for what takes long. */
#pragma once

#include <glib.h>

typedef struct HxTransferProgress HxTransferProgress;

/* Show nothing at all where @quiet. */
HxTransferProgress *hx_transfer_progress_new(gboolean quiet);
/* Ends the line that is being kept. */
void hx_transfer_progress_free(HxTransferProgress *progress);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HxTransferProgress, hx_transfer_progress_free)

/* @done of @size bytes (0: not known) of @what are there; another @what begins anew. */
void hx_transfer_progress_update(HxTransferProgress *progress, const char *what, guint64 done,
                                 guint64 size);
/* A line of its own. */
void hx_transfer_progress_note(HxTransferProgress *progress, const char *text);

/* "512 B", "1.5 MiB", for g_free.  Pure. */
char *hx_transfer_format_size(guint64 bytes);
/* "what  42%  1.5 MiB/s  12 s left", for g_free; @what is shortened so that it has at most @width
 * columns, and made harmless.  @seconds since the begin.  Pure. */
char *hx_transfer_format_line(const char *what, guint64 done, guint64 size, double seconds,
                              guint width);
