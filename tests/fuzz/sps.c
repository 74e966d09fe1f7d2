/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a session says its pictures are: any bytes as a byte stream of H.264. */
#include "cli/h264/sps.h"

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const guint8 *nal;
    gsize length;
    HxH264Sps sps;
    if (!hx_h264_find_nal(data, size, HX_H264_NAL_SPS, &nal, &length))
        return 0;
    g_assert_true(nal >= data + 3 && length >= 1 && nal + length <= data + size);
    if (hx_h264_sps_parse(nal, length, &sps)) {
        g_assert_true(sps.width >= 1 && sps.width <= 16896);
        g_assert_true(sps.height >= 1 && sps.height <= 16896);
    } else {
        g_assert_true(sps.width == 0 && sps.height == 0);
    }
    g_autofree char *profile = hx_h264_sps_profile(&sps);
    g_autofree char *level = hx_h264_sps_level(&sps);
    g_assert_true(*profile && *level);
    return 0;
}
