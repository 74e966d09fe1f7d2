/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Theory of operation.  To decode all frames would cost as much as to watch them, for one picture:
 * those from the last keyframe on are kept, and decoded at the end.  Where they become too many
 * they are decoded earlier. */
#include "cli/recorder/snapshot.h"

#include <libavcodec/avcodec.h>
#include <libswscale/swscale.h>
#include <string.h>

#include "cli/h264/sps.h"
#include "launcher/base/error.h"
#include "launcher/base/fd.h"

#define PIXELS_MAX (64 * 1024 * 1024)
#define KEPT_MAX (32 * 1024 * 1024)
#define FRAMES_MAX 4096 /* a frame takes room also where it holds nothing */

struct Snapshot {
    GPtrArray *frames; /* of GBytes: to be decoded */
    gsize kept;        /* bytes of them */
    AVCodecContext *codec;
    AVFrame *picture; /* the last decoded one */
};

static void free_codec(AVCodecContext *codec)
{
    avcodec_free_context(&codec);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AVCodecContext, free_codec)

static void free_frame(AVFrame *frame)
{
    av_frame_free(&frame);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AVFrame, free_frame)

static void free_packet(AVPacket *packet)
{
    av_packet_free(&packet);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AVPacket, free_packet)

Snapshot *snapshot_new(void)
{
    const AVCodec *decoder = avcodec_find_decoder(AV_CODEC_ID_H264);
    g_autoptr(Snapshot) snapshot = g_new0(Snapshot, 1);
    snapshot->frames = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    snapshot->codec = decoder ? avcodec_alloc_context3(decoder) : NULL;
    snapshot->picture = av_frame_alloc();
    if (!snapshot->codec || !snapshot->picture)
        return NULL;
    snapshot->codec->thread_count = 1;
    snapshot->codec->max_pixels = PIXELS_MAX;
    return avcodec_open2(snapshot->codec, decoder, NULL) >= 0 ? g_steal_pointer(&snapshot) : NULL;
}

void snapshot_free(Snapshot *snapshot)
{
    if (!snapshot)
        return;
    g_ptr_array_unref(snapshot->frames);
    avcodec_free_context(&snapshot->codec);
    av_frame_free(&snapshot->picture);
    g_free(snapshot);
}

/* --- decoding -----------------------------------------------------------------------------------
 */

/* Keep the last of the pictures that the decoder has. */
static void take_pictures(Snapshot *snapshot)
{
    g_autoptr(AVFrame) next = av_frame_alloc();
    while (next && avcodec_receive_frame(snapshot->codec, next) >= 0) {
        av_frame_unref(snapshot->picture);
        av_frame_move_ref(snapshot->picture, next);
    }
}

/* What is broken is left out, as a player does. */
static void decode_one(Snapshot *snapshot, GBytes *bytes)
{
    gsize size;
    const void *data = g_bytes_get_data(bytes, &size);
    g_autoptr(AVPacket) packet = av_packet_alloc(); /* its data is padded */
    if (!packet || av_new_packet(packet, (int)size) < 0)
        return;
    memcpy(packet->data, data, size);
    avcodec_send_packet(snapshot->codec, packet);
    take_pictures(snapshot);
}

static void forget_frames(Snapshot *snapshot)
{
    g_ptr_array_set_size(snapshot->frames, 0);
    snapshot->kept = 0;
}

static void decode_kept(Snapshot *snapshot)
{
    for (guint i = 0; i < snapshot->frames->len; i++)
        decode_one(snapshot, snapshot->frames->pdata[i]);
    forget_frames(snapshot);
}

void snapshot_add(Snapshot *snapshot, const HxStreamFrame *frame)
{
    const guint8 *nal;
    gsize size;
    /* One that brings no parameter sets needs what came before. */
    if ((frame->flags & HX_STREAM_FRAME_KEY) &&
        hx_h264_find_nal(frame->data, frame->size, HX_H264_NAL_SPS, &nal, &size))
        forget_frames(snapshot);
    g_ptr_array_add(snapshot->frames, g_bytes_new(frame->data, frame->size));
    snapshot->kept += frame->size;
    if (snapshot->kept > KEPT_MAX || snapshot->frames->len >= FRAMES_MAX)
        decode_kept(snapshot);
}

/* --- PNG ----------------------------------------------------------------------------------------
 */

static gboolean convert(const AVFrame *picture, AVFrame *rgb)
{
    struct SwsContext *scaler = sws_getContext(
        picture->width, picture->height, picture->format, rgb->width, rgb->height, rgb->format,
        SWS_BICUBIC | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT, NULL, NULL, NULL);
    if (!scaler)
        return FALSE;
    /* A picture that does not say how its colours are meant has those of the sessions' encoders. */
    int space = picture->colorspace == AVCOL_SPC_UNSPECIFIED ? SWS_CS_ITU709 : picture->colorspace;
    sws_setColorspaceDetails(scaler, sws_getCoefficients(space),
                             picture->color_range == AVCOL_RANGE_JPEG,
                             sws_getCoefficients(SWS_CS_DEFAULT), 1, 0, 1 << 16, 1 << 16);
    int rows = sws_scale(scaler, (const uint8_t *const *)picture->data, picture->linesize, 0,
                         picture->height, rgb->data, rgb->linesize);
    sws_freeContext(scaler);
    return rows == rgb->height;
}

static AVFrame *to_rgb(const AVFrame *picture)
{
    g_autoptr(AVFrame) rgb = av_frame_alloc();
    if (!rgb)
        return NULL;
    rgb->width = picture->width;
    rgb->height = picture->height;
    rgb->format = AV_PIX_FMT_RGB24;
    return av_frame_get_buffer(rgb, 0) >= 0 && convert(picture, rgb) ? g_steal_pointer(&rgb) : NULL;
}

/* The whole file. */
static AVPacket *encode(const AVFrame *rgb)
{
    const AVCodec *encoder = avcodec_find_encoder(AV_CODEC_ID_PNG);
    g_autoptr(AVCodecContext) codec = encoder ? avcodec_alloc_context3(encoder) : NULL;
    g_autoptr(AVPacket) packet = av_packet_alloc();
    if (!codec || !packet)
        return NULL;
    codec->width = rgb->width;
    codec->height = rgb->height;
    codec->pix_fmt = AV_PIX_FMT_RGB24;
    codec->time_base = (AVRational){1, 1};
    codec->thread_count = 1;
    if (avcodec_open2(codec, encoder, NULL) < 0 || avcodec_send_frame(codec, rgb) < 0 ||
        avcodec_receive_packet(codec, packet) < 0)
        return NULL;
    return g_steal_pointer(&packet);
}

gboolean snapshot_write(Snapshot *snapshot, int fd, GError **error)
{
    decode_kept(snapshot);
    avcodec_send_packet(snapshot->codec, NULL);
    take_pictures(snapshot);
    if (snapshot->picture->width == 0) {
        g_set_error_literal(error, HX_ERROR, HX_ERROR_PROTOCOL,
                            "the last frames cannot be decoded");
        return FALSE;
    }
    g_autoptr(AVFrame) rgb = to_rgb(snapshot->picture);
    g_autoptr(AVPacket) png = rgb ? encode(rgb) : NULL;
    int r = png ? hx_write_all(fd, png->data, png->size) : -ENOMEM;
    if (r < 0)
        hx_set_error_errno(error, HX_ERROR_HOST, -r, "cannot write the picture");
    return r == 0;
}
