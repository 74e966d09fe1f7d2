/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Theory of operation.  The muxers take a byte stream with its parameter sets as extradata, and
 * make of them what their format wants (avcC, and units with their length before them).  How long a
 * frame is seen is known with the next one, or with the end: one is always held back.  There are no
 * B-frames, so that frames are decoded in the order in which they are seen.
 *
 * The session's clock is a guest's word: any number.  Where it stands still, goes back, as that of
 * a session that starts anew does, or leaps, the file goes on by this host's clock for one frame,
 * and from there by the session's again. */
#include "cli/recorder/recording.h"

#include <errno.h>
#include <libavformat/avformat.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/h264/sps.h"
#include "launcher/base/error.h"

#define BUFFER_SIZE (64 * 1024)

/* Nearer ones have the same time in matroska, which counts ms.  Muxers of mp4 take no gap of 2^31
 * ticks, 6.6 hours of H.264's usual 90 kHz. */
#define SHORTEST_GAP 1000
#define LONGEST_GAP (6 * G_TIME_SPAN_HOUR)

static const AVRational microseconds = {1, 1000000};
static const AVRational ticks = {1, 90000};

struct Recording {
    int fd;
    AVFormatContext *format;
    AVPacket *held;     /* NULL before the first frame */
    gint64 held_at;     /* monotonic, µs */
    guint64 held_clock; /* the session's, µs */
    guint64 origin;     /* where that is 0 of the file */
};

static gboolean fail(int code, const char *what, GError **error)
{
    g_set_error(error, HX_ERROR, HX_ERROR_HOST, "%s: %s", what, av_err2str(code));
    return FALSE;
}

/* --- the file -----------------------------------------------------------------------------------
 */

static int write_bytes(void *data, const uint8_t *bytes, int size)
{
    const Recording *recording = data;
    for (int done = 0; done < size;) {
        ssize_t n = write(recording->fd, bytes + done, size - done);
        if (n < 0 && errno != EINTR)
            return AVERROR(errno);
        done += n > 0 ? n : 0;
    }
    return size;
}

static int64_t seek(void *data, int64_t offset, int whence)
{
    const Recording *recording = data;
    struct stat status;
    if (whence & AVSEEK_SIZE)
        return fstat(recording->fd, &status) < 0 ? AVERROR(errno) : status.st_size;
    off_t position = lseek(recording->fd, offset, whence & ~AVSEEK_FORCE);
    return position < 0 ? AVERROR(errno) : position;
}

Recording *recording_new(const char *format, int fd, GError **error)
{
    g_autoptr(Recording) recording = g_new0(Recording, 1);
    recording->fd = fd;
    int r = avformat_alloc_output_context2(&recording->format, NULL, format, NULL);
    unsigned char *buffer = av_malloc(BUFFER_SIZE);
    AVIOContext *io = r >= 0 && buffer ? avio_alloc_context(buffer, BUFFER_SIZE, 1, recording, NULL,
                                                            write_bytes, seek)
                                       : NULL;
    if (!io) {
        av_free(buffer);
        fail(r < 0 ? r : AVERROR(ENOMEM), "cannot set up libavformat", error);
        return NULL;
    }
    recording->format->pb = io;
    recording->format->flags |= AVFMT_FLAG_CUSTOM_IO;
    return g_steal_pointer(&recording);
}

void recording_free(Recording *recording)
{
    if (!recording)
        return;
    av_packet_free(&recording->held);
    if (recording->format && recording->format->pb) {
        av_freep(&recording->format->pb->buffer);
        avio_context_free(&recording->format->pb);
    }
    avformat_free_context(recording->format);
    g_free(recording);
}

/* --- frames -------------------------------------------------------------------------------------
 */

static void append_unit(GByteArray *units, const guint8 *nal, gsize size)
{
    g_byte_array_append(units, (const guint8 *)"\0\0\0\1", 4);
    g_byte_array_append(units, nal, size);
}

static gboolean begin(Recording *recording, const HxStreamFrame *frame, GError **error)
{
    const guint8 *sps, *pps;
    gsize sps_size, pps_size;
    HxH264Sps parsed;
    if (!hx_h264_find_nal(frame->data, frame->size, HX_H264_NAL_SPS, &sps, &sps_size) ||
        !hx_h264_find_nal(frame->data, frame->size, HX_H264_NAL_PPS, &pps, &pps_size) ||
        !hx_h264_sps_parse(sps, sps_size, &parsed)) {
        g_set_error_literal(error, HX_ERROR, HX_ERROR_PROTOCOL,
                            "the first frame has no parameter sets that can be read");
        return FALSE;
    }
    AVStream *stream = avformat_new_stream(recording->format, NULL);
    g_autoptr(GByteArray) units = g_byte_array_new();
    append_unit(units, sps, sps_size);
    append_unit(units, pps, pps_size);
    AVCodecParameters *parameters = stream ? stream->codecpar : NULL;
    guint8 *extradata = stream ? av_mallocz(units->len + AV_INPUT_BUFFER_PADDING_SIZE) : NULL;
    if (!extradata)
        return fail(AVERROR(ENOMEM), "cannot set up libavformat", error);
    memcpy(extradata, units->data, units->len);
    parameters->codec_type = AVMEDIA_TYPE_VIDEO;
    parameters->codec_id = AV_CODEC_ID_H264;
    parameters->width = (int)parsed.width;
    parameters->height = (int)parsed.height;
    parameters->extradata = extradata;
    parameters->extradata_size = (int)units->len;
    stream->time_base = ticks;
    recording->origin = frame->pts_us;
    int r = avformat_write_header(recording->format, NULL);
    return r >= 0 || fail(r, "cannot write the file's header", error);
}

/* When @frame comes in the file, µs. */
static gint64 time_of(Recording *recording, const HxStreamFrame *frame)
{
    if (!recording->held)
        return 0;
    gint64 shown = recording->held->pts;
    /* What goes back is very far ahead. */
    guint64 gap = frame->pts_us - recording->held_clock;
    if (gap == 0 || gap > LONGEST_GAP) {
        gint64 now = shown + g_get_monotonic_time() - recording->held_at;
        recording->origin = frame->pts_us - (guint64)now;
    }
    gint64 time = (gint64)(frame->pts_us - recording->origin);
    return CLAMP(time, shown + SHORTEST_GAP, shown + LONGEST_GAP);
}

/* The held frame is seen for @duration, µs. */
static gboolean write_held(Recording *recording, gint64 duration, GError **error)
{
    AVStream *stream = recording->format->streams[0];
    AVPacket *packet = recording->held;
    packet->duration = CLAMP(duration, SHORTEST_GAP, LONGEST_GAP);
    av_packet_rescale_ts(packet, microseconds, stream->time_base);
    int r = av_write_frame(recording->format, packet);
    av_packet_free(&recording->held);
    /* Nothing is flushed before the end otherwise, and a full disk not seen. */
    if (r >= 0)
        r = recording->format->pb->error;
    return r >= 0 || fail(r, "cannot write a frame", error);
}

gboolean recording_add(Recording *recording, const HxStreamFrame *frame, GError **error)
{
    if (!recording->format->nb_streams && !begin(recording, frame, error))
        return FALSE;
    gint64 pts = time_of(recording, frame);
    if (recording->held && !write_held(recording, pts - recording->held->pts, error))
        return FALSE;
    recording->held = av_packet_alloc();
    if (!recording->held || av_new_packet(recording->held, (int)frame->size) < 0)
        return fail(AVERROR(ENOMEM), "cannot keep a frame", error);
    memcpy(recording->held->data, frame->data, frame->size);
    recording->held->pts = recording->held->dts = pts;
    if (frame->flags & HX_STREAM_FRAME_KEY)
        recording->held->flags |= AV_PKT_FLAG_KEY;
    recording->held_at = g_get_monotonic_time();
    recording->held_clock = frame->pts_us;
    return TRUE;
}

gboolean recording_finish(Recording *recording, GError **error)
{
    if (!recording->held)
        return TRUE;
    if (!write_held(recording, g_get_monotonic_time() - recording->held_at, error))
        return FALSE;
    int r = av_write_trailer(recording->format);
    avio_flush(recording->format->pb);
    if (r >= 0)
        r = recording->format->pb->error;
    return r >= 0 || fail(r, "cannot complete the file", error);
}
