/* SPDX-License-Identifier: GPL-2.0-or-later */
/* helixvm-recorder: what `helixvm stream` gets, into files that others read.
 *
 * Theory of operation.  A guest's frames are read here by large libraries: in a process of its own,
 * which has nothing but the descriptors of those files.  stdin has the frames, each a VideoFrame
 * message behind its size, big-endian, as in a VideoBatch; its end, whatever that was, completes
 * the files.  The reason of a failure goes to stderr. */
#include <libavutil/log.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/recorder/recording.h"
#include "cli/recorder/sandbox.h"
#include "cli/recorder/snapshot.h"
#include "launcher/base/error.h"
#include "launcher/base/fd.h"

#define FRAME_MAX (32 * 1024 * 1024)

typedef struct {
    char *format;
    int recording_fd, snapshot_fd; /* -1: none */
    Recording *recording;
    Snapshot *snapshot;
} Recorder;

/* The next frame's message; NULL at the end, and with @error where it is none. */
static GByteArray *read_message(GError **error)
{
    guint32 size;
    int r = hx_read_all(STDIN_FILENO, &size, sizeof size);
    if (r == -ENODATA)
        return NULL;
    size = GUINT32_FROM_BE(size);
    if (r == 0 && size <= FRAME_MAX) {
        g_autoptr(GByteArray) message = g_byte_array_new();
        g_byte_array_set_size(message, size);
        r = hx_read_all(STDIN_FILENO, message->data, size);
        if (r == 0)
            return g_steal_pointer(&message);
    }
    /* helixvm was killed amid a frame: the files end before it. */
    if (r != -EPIPE && r != -ENODATA)
        g_set_error(error, HX_ERROR, HX_ERROR_FAILED, "no frames on standard input");
    return NULL;
}

static gboolean take_frames(Recorder *recorder, GError **error)
{
    for (;;) {
        GError *cause = NULL;
        HxStreamMessage message;
        g_autoptr(GByteArray) bytes = read_message(&cause);
        if (!bytes && cause)
            g_propagate_error(error, cause);
        if (!bytes)
            return !cause;
        if (!hx_stream_decode(bytes->data, bytes->len, &message, error))
            return FALSE;
        if (message.type != HX_STREAM_VIDEO_FRAME)
            continue;
        if (recorder->snapshot)
            snapshot_add(recorder->snapshot, &message.frame);
        if (recorder->recording && !recording_add(recorder->recording, &message.frame, error))
            return FALSE;
    }
}

static gboolean record(Recorder *recorder, GError **error)
{
    if (recorder->recording_fd >= 0)
        recorder->recording = recording_new(recorder->format, recorder->recording_fd, error);
    if (recorder->recording_fd >= 0 && !recorder->recording)
        return FALSE;
    if (recorder->snapshot_fd >= 0)
        recorder->snapshot = snapshot_new();
    if (recorder->snapshot_fd >= 0 && !recorder->snapshot) {
        g_set_error_literal(error, HX_ERROR, HX_ERROR_HOST, "libavcodec does not decode H.264");
        return FALSE;
    }
    return take_frames(recorder, error) &&
           (!recorder->recording || recording_finish(recorder->recording, error)) &&
           (!recorder->snapshot ||
            snapshot_write(recorder->snapshot, recorder->snapshot_fd, error));
}

int main(int argc, char **argv)
{
    Recorder recorder = {.recording_fd = -1, .snapshot_fd = -1};
    const GOptionEntry entries[] = {
        {"format", 0, 0, G_OPTION_ARG_STRING, &recorder.format, "mp4 or matroska", "NAME"},
        {"recording-fd", 0, 0, G_OPTION_ARG_INT, &recorder.recording_fd,
         "Write all frames into this file", "N"},
        {"snapshot-fd", 0, 0, G_OPTION_ARG_INT, &recorder.snapshot_fd,
         "Write the last picture into this file, as PNG", "N"},
        G_OPTION_ENTRY_NULL,
    };
    g_autoptr(GOptionContext) options = g_option_context_new("- frames into files");
    g_option_context_add_main_entries(options, entries, NULL);
    g_autoptr(GError) error = NULL;
    av_log_set_level(AV_LOG_QUIET);
    gboolean good = g_option_context_parse(options, &argc, &argv, &error) &&
                    recorder_enter_sandbox(&error) && record(&recorder, &error);
    recording_free(recorder.recording);
    snapshot_free(recorder.snapshot);
    g_free(recorder.format);
    if (!good)
        fprintf(stderr, "%s\n", error->message);
    return good ? 0 : hx_error_exit_status(error);
}
