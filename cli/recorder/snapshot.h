/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The last picture of a stream of H.264, as PNG. */
#pragma once

#include "guest-provision/session/stream-protocol.h"

typedef struct Snapshot Snapshot;
void snapshot_free(Snapshot *snapshot);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Snapshot, snapshot_free)

/* NULL where libavcodec has no decoder. */
Snapshot *snapshot_new(void);
/* Remember @frame, and what it is decoded by: the frames from the last keyframe on. */
void snapshot_add(Snapshot *snapshot, const HxStreamFrame *frame);
/* Decode what is remembered, and write the last picture of it to @fd.  HX_ERROR_PROTOCOL where
 * there is none, HX_ERROR_HOST where it cannot be written. */
gboolean snapshot_write(Snapshot *snapshot, int fd, GError **error);
