/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/stream-files.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>

#include "cli/stream-recorder.h"
#include "launcher/base/error.h"
#include "launcher/base/fd.h"
#include "launcher/base/parts.h"

struct HxStreamFiles {
    const char *output, *snapshot; /* paths, the caller's */
    int output_fd, snapshot_fd;    /* -1: none */
    HxStreamRecorder *recorder;    /* NULL: the byte stream alone */
    gboolean is_recording;         /* the output is the recorder's */
    gboolean has_frame;
};

/* What a file's name ends with, and libavformat's name for it; NULL: the bytes as they come. */
static const struct {
    const char *suffix, *format;
} formats[] = {{".h264", NULL}, {".264", NULL}, {".mp4", "mp4"}, {".mkv", "matroska"}};

static gboolean has_suffix(const char *path, const char *suffix)
{
    size_t length = strlen(path), end = strlen(suffix);
    return length > end && g_ascii_strcasecmp(path + length - end, suffix) == 0;
}

/* The index in formats; -1 where it is none of them. */
static int find_format(const char *path)
{
    for (size_t i = 0; i < G_N_ELEMENTS(formats); i++)
        if (has_suffix(path, formats[i].suffix))
            return (int)i;
    return -1;
}

gboolean hx_stream_files_check(const char *output, const char *snapshot, GError **error)
{
    if (output && find_format(output) < 0) {
        g_set_error(error, HX_ERROR, HX_ERROR_USAGE,
                    "--output %s: how a file is written is told by the end of its name: .h264 (the "
                    "byte stream), .mp4 or .mkv",
                    output);
        return FALSE;
    }
    if (snapshot && !has_suffix(snapshot, ".png")) {
        g_set_error(error, HX_ERROR, HX_ERROR_USAGE, "--snapshot %s: it writes a .png alone",
                    snapshot);
        return FALSE;
    }
    return TRUE;
}

static gboolean open_file(const char *path, int *ret_fd, GError **error)
{
    *ret_fd = path ? open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666) : -1;
    if (path && *ret_fd < 0)
        hx_set_error_errno(error, HX_ERROR_HOST, errno, "cannot write %s", path);
    return !path || *ret_fd >= 0;
}

static gboolean start_recorder(HxStreamFiles *files, const char *format, GError **error)
{
    g_autofree char *program = hx_part_path("helixvm-recorder", error);
    HxStreamRecorderFiles its = {.program = program,
                                 .format = format,
                                 .recording_fd = format ? files->output_fd : -1,
                                 .snapshot_fd = files->snapshot_fd};
    files->recorder = program ? hx_stream_recorder_start(&its, error) : NULL;
    return files->recorder != NULL;
}

HxStreamFiles *hx_stream_files_new(const char *output, const char *snapshot, GError **error)
{
    if (!hx_stream_files_check(output, snapshot, error))
        return NULL;
    g_autoptr(HxStreamFiles) files = g_new0(HxStreamFiles, 1);
    files->output = output;
    files->snapshot = snapshot;
    files->output_fd = files->snapshot_fd = -1;
    const char *format = output ? formats[find_format(output)].format : NULL;
    files->is_recording = format != NULL;
    if (!open_file(output, &files->output_fd, error) ||
        !open_file(snapshot, &files->snapshot_fd, error) ||
        ((format || snapshot) && !start_recorder(files, format, error)))
        return NULL;
    return g_steal_pointer(&files);
}

/* Which files an error of the recorder's is about. */
static gboolean prefix(const HxStreamFiles *files, GError **error)
{
    gboolean both = files->is_recording && files->snapshot;
    g_prefix_error(error, "cannot write %s%s%s: ", files->is_recording ? files->output : "",
                   both ? " and " : "", files->snapshot ? files->snapshot : "");
    return FALSE;
}

gboolean hx_stream_files_add(HxStreamFiles *files, const HxStreamFrame *frame, GError **error)
{
    files->has_frame = TRUE;
    if (files->recorder && !hx_stream_recorder_add(files->recorder, frame, error)) {
        g_clear_pointer(&files->recorder, hx_stream_recorder_free);
        return prefix(files, error);
    }
    int r = files->output && !files->is_recording
                ? hx_write_all(files->output_fd, frame->data, frame->size)
                : 0;
    if (r < 0)
        hx_set_error_errno(error, HX_ERROR_HOST, -r, "cannot write %s", files->output);
    return r == 0;
}

gboolean hx_stream_files_finish(HxStreamFiles *files, GError **error)
{
    if (!files->has_frame)
        return TRUE;
    g_autoptr(HxStreamRecorder) recorder = g_steal_pointer(&files->recorder);
    return !recorder || hx_stream_recorder_finish(recorder, error) || prefix(files, error);
}

/* Empty files are no one's; what could not be opened is not ours to remove. */
static void remove_empty(const HxStreamFiles *files)
{
    if (files->output_fd >= 0)
        g_unlink(files->output);
    if (files->snapshot_fd >= 0)
        g_unlink(files->snapshot);
}

void hx_stream_files_free(HxStreamFiles *files)
{
    if (!files)
        return;
    hx_stream_recorder_free(files->recorder);
    if (!files->has_frame)
        remove_empty(files);
    hx_close(&files->output_fd);
    hx_close(&files->snapshot_fd);
    g_free(files);
}
