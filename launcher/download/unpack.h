/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Unpack xz, zstd and gzip while the bytes arrive. */
#pragma once

#include <gio/gio.h>

/* Gives the next bytes in @ret_chunk, good until the next call; returns how many, 0 at the end, -1
 * with @error. */
typedef gssize HxChunkFunc(void *data, const void **ret_chunk, GError **error);

/* Whether a file that begins with these bytes is one that hx_unpack() unpacks. */
gboolean hx_is_packed(const guint8 *start, gsize length);

/* Unpack what @next gives, to its end, into the empty file @fd, in which runs of zeros become
 * holes. Refuses to write more than @max bytes, or to fill the file system (HX_ERROR_FAILED,
 * HX_ERROR_HOST); HX_ERROR_FAILED where the packed data is damaged; @next's own errors are passed
 * on. */
gboolean hx_unpack(HxChunkFunc *next, void *data, int fd, guint64 max, GError **error);
