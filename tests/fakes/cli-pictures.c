/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/fakes/cli-pictures.h"

#include <stdint.h>
#include <string.h>
#include <x264.h>

static x264_t *open_x264(void)
{
    x264_param_t param;
    x264_param_default_preset(&param, "superfast", "zerolatency");
    param.i_log_level = X264_LOG_NONE;
    param.i_width = PICTURE_WIDTH;
    param.i_height = PICTURE_HEIGHT;
    param.i_threads = 1;
    param.i_keyint_max = PICTURE_GROUP;
    param.i_keyint_min = PICTURE_GROUP;
    param.i_scenecut_threshold = 0;
    param.b_repeat_headers = 1;
    param.b_annexb = 1;
    return x264_encoder_open(&param);
}

void pictures_encode(int count, void (*take)(const HxStreamFrame *frame, void *data), void *data)
{
    x264_t *encoder = open_x264();
    x264_picture_t picture, out;
    g_assert_cmpint(x264_picture_alloc(&picture, X264_CSP_I420, PICTURE_WIDTH, PICTURE_HEIGHT), ==,
                    0);
    for (int i = 0; i < count; i++) {
        x264_nal_t *nals;
        int n_nals;
        const int *stride = picture.img.i_stride;
        memset(picture.img.plane[0], PICTURE_GREY(i), (size_t)stride[0] * PICTURE_HEIGHT);
        memset(picture.img.plane[1], 128, (size_t)stride[1] * PICTURE_HEIGHT / 2);
        memset(picture.img.plane[2], 128, (size_t)stride[2] * PICTURE_HEIGHT / 2);
        picture.i_pts = i;
        int size = x264_encoder_encode(encoder, &nals, &n_nals, &picture, &out);
        g_assert_cmpint(size, >, 0);
        HxStreamFrame frame = {.codec = HX_STREAM_CODEC_H264,
                               .flags = out.b_keyframe ? HX_STREAM_FRAME_KEY : 0,
                               .pts_us = 5000000 + i * PICTURE_US,
                               .width = PICTURE_WIDTH,
                               .height = PICTURE_HEIGHT,
                               .data = nals[0].p_payload,
                               .size = size};
        take(&frame, data);
    }
    x264_picture_clean(&picture);
    x264_encoder_close(encoder);
}
