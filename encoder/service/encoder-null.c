/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An encoder that encodes nothing: what the service costs without one. */
#include <errno.h>
#include <glib.h>

#include "encoder/service/encoder.h"

struct HxEncoder {
    uint32_t keyframe_interval;
    uint32_t since_keyframe;
};

static bool null_has_preset(const char *preset)
{
    return preset != NULL;
}

static int null_open(const HxEncoderSettings *settings, HxEncoder **ret_encoder)
{
    HxEncoder *encoder = g_new0(HxEncoder, 1);
    encoder->keyframe_interval = settings->keyframe_interval;
    *ret_encoder = encoder;
    return 0;
}

static int null_set_rate(HxEncoder *encoder, uint32_t bitrate, uint32_t fps_num, uint32_t fps_den)
{
    return 0;
}

/* NAL units as a client takes them, of which a decoder makes no picture: filler data (ITU-T H.264,
 * 7.3.2.7), and in front of a keyframe parameter sets that have nothing in them. */
static int null_encode(HxEncoder *encoder, const HxPicture *picture, bool force_keyframe,
                       HxAccessUnit *ret_unit)
{
    static const uint8_t frame[] = {0, 0, 0, 1, 0x0c, 0xff, 0x80};
    static const uint8_t keyframe[] = {0,    0,    0, 1, 0x67, 0x80, 0,    0,    0,   1,
                                       0x68, 0x80, 0, 0, 0,    1,    0x0c, 0xff, 0x80};
    bool is_keyframe = force_keyframe || encoder->since_keyframe == 0;
    encoder->since_keyframe = is_keyframe ? 1 : encoder->since_keyframe + 1;
    if (encoder->since_keyframe >= encoder->keyframe_interval)
        encoder->since_keyframe = 0;
    *ret_unit = is_keyframe ? (HxAccessUnit){keyframe, sizeof keyframe, true}
                            : (HxAccessUnit){frame, sizeof frame, false};
    return 0;
}

static void null_close(HxEncoder *encoder)
{
    g_free(encoder);
}

const HxEncoderClass hx_encoder_null = {
    .name = "null",
    .has_preset = null_has_preset,
    .open = null_open,
    .set_rate = null_set_rate,
    .encode = null_encode,
    .close = null_close,
};
