/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The sequence parameter set of an H.264 stream (ITU-T H.264, 7.3.2.1.1), as far as it says what
 * the pictures are.  Anything may come as one; no I/O; any thread. */
#pragma once

#include <glib.h>

typedef struct {
    guint8 profile_idc;
    guint8 constraints; /* constraint_set0_flag is the highest bit */
    guint8 level_idc;
    guint width, height; /* pixels, of the cropped picture */
} HxH264Sps;

enum { HX_H264_NAL_SPS = 7, HX_H264_NAL_PPS = 8 };

/* The first NAL unit of @type in the byte stream @data (annex B), from its header on; borrowed.
 * FALSE where there is none. */
gboolean hx_h264_find_nal(const guint8 *data, gsize size, guint type, const guint8 **ret_nal,
                          gsize *ret_size);

/* Read a NAL unit of type HX_H264_NAL_SPS, from its header on.  FALSE where it ends too early or
 * says what no decoder could show: values out of their range, sides over 16896 pixels, nothing left
 * by the cropping. */
gboolean hx_h264_sps_parse(const guint8 *nal, gsize size, HxH264Sps *ret_sps);

/* "High", "Constrained Baseline"; "3.1", "1b" (annex A); for g_free. */
char *hx_h264_sps_profile(const HxH264Sps *sps);
char *hx_h264_sps_level(const HxH264Sps *sps);
