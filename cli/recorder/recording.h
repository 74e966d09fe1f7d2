/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Frames of H.264 into a file that players take. */
#pragma once

#include "guest-provision/session/stream-protocol.h"

typedef struct Recording Recording;

/* A file of libavformat's @format, "mp4" or "matroska", into @fd, which stays the caller's and can
 * be sought in.  NULL with HX_ERROR_HOST. */
Recording *recording_new(const char *format, int fd, GError **error);

/* Add @frame, of which the first is a keyframe with its parameter sets.  HX_ERROR_PROTOCOL where it
 * has none; HX_ERROR_HOST where the file cannot be written. */
gboolean recording_add(Recording *recording, const HxStreamFrame *frame, GError **error);

/* The last frame lasts until now: complete the file.  HX_ERROR_HOST as above. */
gboolean recording_finish(Recording *recording, GError **error);
void recording_free(Recording *recording);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Recording, recording_free)
