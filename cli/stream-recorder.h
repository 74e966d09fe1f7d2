/* SPDX-License-Identifier: GPL-2.0-or-later */
/* helixvm-recorder, a process that makes files that others read of a stream's frames. */
#pragma once

#include "guest-provision/session/stream-protocol.h"

typedef struct HxStreamRecorder HxStreamRecorder;

typedef struct {
    const char *program; /* the path of helixvm-recorder */
    const char *format;  /* of the recording: "mp4", "matroska" */
    int recording_fd;    /* where to, read and written, can be sought in; -1: none */
    int snapshot_fd;     /* where the last picture goes to, as PNG; -1: none */
} HxStreamRecorderFiles;

/* The descriptors stay the caller's own.  Main thread.  NULL with HX_ERROR_HOST. */
HxStreamRecorder *hx_stream_recorder_start(const HxStreamRecorderFiles *files, GError **error);

/* Hand over @frame, waiting until it is taken.  FALSE with the recorder's error where it has ended.
 */
gboolean hx_stream_recorder_add(HxStreamRecorder *recorder, const HxStreamFrame *frame,
                                GError **error);

/* There are no more frames: wait until the files are complete.  FALSE with the recorder's error,
 * HX_ERROR_HOST. */
gboolean hx_stream_recorder_finish(HxStreamRecorder *recorder, GError **error);
/* The same, without its error.  NULL is fine. */
void hx_stream_recorder_free(HxStreamRecorder *recorder);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HxStreamRecorder, hx_stream_recorder_free)
