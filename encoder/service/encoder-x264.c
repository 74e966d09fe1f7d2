/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "encoder/service/encoder.h"
#include "launcher/base/log.h"

#include <x264.h> /* wants stdint.h before it */

#define BT709 1         /* ITU-T H.264 tables E-3, E-4 and E-5 */
#define CHROMA_CENTRE 1 /* ITU-T H.264 figure E-1 */

/* ITU-T H.264 table A-1, level 6.2: what no level has no decoder has to take. */
#define MACROBLOCKS_MAX 139264u

struct HxEncoder {
    x264_t *x264;
    x264_param_t parameters;
    int64_t frames;
};

static void on_log(void *data, int level, const char *format, va_list arguments)
{
    char line[512];
    vsnprintf(line, sizeof line, format, arguments);
    g_strchomp(line);
    if (level <= X264_LOG_ERROR)
        hx_log_error("x264: %s", line);
    else
        hx_log_debug("x264: %s", line);
}

static bool x264_has_preset(const char *preset)
{
    return preset && g_strv_contains(x264_preset_names, preset);
}

/* What x264 itself takes at most. */
#define KBITS_MAX 2000000

/* x264 keeps the frame rate that it was opened with, and so is told a bitrate of which a frame gets
 * as much as it is to get at @fps_num / @fps_den.  The buffer holds one second: what a desktop
 * needs when a window opens. */
static int set_rate(x264_param_t *p, uint32_t bitrate, uint32_t fps_num, uint32_t fps_den)
{
    double faster = (double)fps_num / fps_den * p->i_fps_den / p->i_fps_num;
    double kbits = MAX(bitrate / 1000.0 / faster, 1);
    double frame = bitrate / 1000.0 * fps_den / fps_num;
    if (kbits > KBITS_MAX)
        return -ERANGE;
    p->rc.i_rc_method = X264_RC_ABR;
    p->rc.i_bitrate = p->rc.i_vbv_max_bitrate = (int)kbits;
    p->rc.i_vbv_buffer_size = (int)CLAMP(MAX(bitrate / 1000.0, frame), 1, KBITS_MAX);
    return 0;
}

static int x264_open(const HxEncoderSettings *settings, HxEncoder **ret_encoder)
{
    if ((settings->width + 15) / 16 * ((settings->height + 15) / 16) > MACROBLOCKS_MAX)
        return -EINVAL;
    g_autofree HxEncoder *encoder = g_new0(HxEncoder, 1);
    x264_param_t *p = &encoder->parameters;
    if (x264_param_default_preset(p, settings->preset, "zerolatency") < 0)
        return -EINVAL;
    p->pf_log = on_log;
    p->i_log_level = X264_LOG_WARNING;
    p->i_width = (int)settings->width;
    p->i_height = (int)settings->height;
    p->i_csp = X264_CSP_NV12;
    p->i_threads = (int)settings->threads;
    p->i_fps_num = settings->fps_num;
    p->i_fps_den = settings->fps_den;
    p->i_timebase_num = settings->fps_den;
    p->i_timebase_den = settings->fps_num;
    /* A guest's clock may do anything; rates are counted in frames. */
    p->b_vfr_input = 0;
    p->i_keyint_max = (int)settings->keyframe_interval;
    p->b_repeat_headers = 1;
    p->b_annexb = 1;
    p->vui.b_fullrange = 0;
    p->vui.i_colorprim = BT709;
    p->vui.i_transfer = BT709;
    p->vui.i_colmatrix = BT709;
    p->vui.i_chroma_loc = CHROMA_CENTRE;
    if (set_rate(p, settings->bitrate, settings->fps_num, settings->fps_den) < 0)
        return -EINVAL;
    if (x264_param_apply_profile(p, "high") < 0)
        return -EINVAL;
    encoder->x264 = x264_encoder_open(p);
    if (!encoder->x264)
        return -EINVAL;
    *ret_encoder = g_steal_pointer(&encoder);
    return 0;
}

static int x264_set_rate(HxEncoder *encoder, uint32_t bitrate, uint32_t fps_num, uint32_t fps_den)
{
    int r = set_rate(&encoder->parameters, bitrate, fps_num, fps_den);
    if (r < 0)
        return r;
    return x264_encoder_reconfig(encoder->x264, &encoder->parameters) < 0 ? -EINVAL : 0;
}

static int x264_encode(HxEncoder *encoder, const HxPicture *picture, bool force_keyframe,
                       HxAccessUnit *ret_unit)
{
    x264_picture_t in, out;
    x264_picture_init(&in);
    in.img.i_csp = X264_CSP_NV12;
    in.img.i_plane = 2;
    in.img.plane[0] = picture->y;
    in.img.plane[1] = picture->uv;
    in.img.i_stride[0] = in.img.i_stride[1] = (int)picture->stride;
    in.i_pts = encoder->frames;
    in.i_type = force_keyframe ? X264_TYPE_IDR : X264_TYPE_AUTO;
    x264_nal_t *nals = NULL;
    int n_nals = 0;
    int size = x264_encoder_encode(encoder->x264, &nals, &n_nals, &in, &out);
    /* zerolatency has no delay: no output is a failure. */
    if (size <= 0 || n_nals <= 0)
        return -EIO;
    encoder->frames++;
    /* x264 lays the NAL units of one call out one after another. */
    *ret_unit = (HxAccessUnit){nals[0].p_payload, (size_t)size, out.b_keyframe != 0};
    return 0;
}

static void x264_close(HxEncoder *encoder)
{
    if (!encoder)
        return;
    x264_encoder_close(encoder->x264);
    g_free(encoder);
}

const HxEncoderClass hx_encoder_x264 = {
    .name = "x264",
    .has_preset = x264_has_preset,
    .open = x264_open,
    .set_rate = x264_set_rate,
    .encode = x264_encode,
    .close = x264_close,
};
