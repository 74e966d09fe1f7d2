/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The files that a stream is kept in: the byte stream as it comes, a recording, the last picture.
 */
#pragma once

#include "guest-provision/session/stream-protocol.h"

typedef struct HxStreamFiles HxStreamFiles;

/* Whether --output takes @output and --snapshot @snapshot, which may be NULL.  HX_ERROR_USAGE where
 * the end of a name is none of those that are known. */
gboolean hx_stream_files_check(const char *output, const char *snapshot, GError **error);

/* Open them, anew: @output by the end of its name, .h264, .mp4 or .mkv, and @snapshot, .png; either
 * may be NULL.  HX_ERROR_HOST, or as above. */
HxStreamFiles *hx_stream_files_new(const char *output, const char *snapshot, GError **error);
/* Add the next frame, of which the first is a keyframe.  HX_ERROR_HOST. */
gboolean hx_stream_files_add(HxStreamFiles *files, const HxStreamFrame *frame, GError **error);
/* Complete them.  HX_ERROR_HOST. */
gboolean hx_stream_files_finish(HxStreamFiles *files, GError **error);
/* Those that got no frame are removed.  NULL is fine. */
void hx_stream_files_free(HxStreamFiles *files);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HxStreamFiles, hx_stream_files_free)
