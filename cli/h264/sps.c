/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/h264/sps.h"

#include <string.h>

/* Table A-1: a side is at most sqrt(8 * MaxFS) macroblocks. */
#define MACROBLOCKS_MAX 1056

/* --- NAL units ----------------------------------------------------------------------------------
 */

/* Behind the next 00 00 01 at or after @data; NULL where there is none. */
static const guint8 *next_unit(const guint8 *data, const guint8 *end)
{
    for (; end - data >= 3; data++)
        if (data[0] == 0 && data[1] == 0 && data[2] == 1)
            return data + 3;
    return NULL;
}

gboolean hx_h264_find_nal(const guint8 *data, gsize size, guint type, const guint8 **ret_nal,
                          gsize *ret_size)
{
    const guint8 *end = data + size;
    const guint8 *nal = next_unit(data, end);
    while (nal) {
        const guint8 *next = next_unit(nal, end);
        const guint8 *last = next ? next - 3 : end;
        if (nal < last && (nal[0] & 0x1f) == type) {
            while (last > nal && last[-1] == 0)
                last--; /* trailing_zero_8bits */
            *ret_nal = nal;
            *ret_size = last - nal;
            return TRUE;
        }
        nal = next;
    }
    return FALSE;
}

/* --- bits ---------------------------------------------------------------------------------------
 */

typedef struct {
    const guint8 *next, *end;
    guint zeros; /* bytes of 0 before @next */
    guint8 byte; /* its @left lowest bits are to be read */
    guint left;
    gboolean bad; /* read beyond the end, or out of range: all reads are 0 from now on */
} Bits;

static guint read_bit(Bits *bits)
{
    if (bits->left == 0) {
        /* 7.4.1: a 3 behind two zeros is there only so that they are no start code. */
        if (bits->zeros >= 2 && bits->next < bits->end && *bits->next == 3) {
            bits->next++;
            bits->zeros = 0;
        }
        if (bits->bad || bits->next == bits->end) {
            bits->bad = TRUE;
            return 0;
        }
        bits->byte = *bits->next++;
        bits->zeros = bits->byte ? 0 : bits->zeros + 1;
        bits->left = 8;
    }
    bits->left--;
    return bits->bad ? 0 : bits->byte >> bits->left & 1;
}

static guint32 read_bits(Bits *bits, guint count)
{
    guint32 value = 0;
    while (count--)
        value = value << 1 | read_bit(bits);
    return value;
}

/* ue(v), 9.1; at most @most. */
static guint32 read_ue(Bits *bits, guint32 most)
{
    guint zeros = 0;
    while (!bits->bad && !read_bit(bits))
        zeros++;
    if (zeros > 31) {
        bits->bad = TRUE;
        return 0;
    }
    guint32 value = (1u << zeros) - 1 + read_bits(bits, zeros);
    if (value > most)
        bits->bad = TRUE;
    return bits->bad ? 0 : value;
}

/* se(v), 9.1.1. */
static gint64 read_se(Bits *bits)
{
    gint64 code = read_ue(bits, G_MAXUINT32);
    return code & 1 ? (code + 1) / 2 : -(code / 2);
}

/* --- the parameter set --------------------------------------------------------------------------
 */

static gboolean has_chroma_format(guint profile)
{
    static const guint8 profiles[] = {100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135};
    return memchr(profiles, (int)profile, sizeof profiles) != NULL;
}

/* scaling_list(), 7.3.2.1.1.1. */
static void skip_scaling_list(Bits *bits, guint size)
{
    gint64 last = 8, next = 8;
    for (guint i = 0; i < size && next; i++) {
        gint64 delta = read_se(bits);
        if (delta < -128 || delta > 127)
            bits->bad = TRUE;
        next = bits->bad ? 0 : (last + delta + 256) % 256;
        last = next ? next : last;
    }
}

/* Returns ChromaArrayType. */
static guint read_chroma_format(Bits *bits)
{
    guint format = read_ue(bits, 3);
    guint array_type = format == 3 && read_bit(bits) ? 0 : format;
    read_ue(bits, 6); /* bit_depth_luma_minus8 */
    read_ue(bits, 6); /* bit_depth_chroma_minus8 */
    read_bit(bits);   /* qpprime_y_zero_transform_bypass_flag */
    guint lists = read_bit(bits) ? (format == 3 ? 12 : 8) : 0;
    for (guint i = 0; i < lists; i++)
        if (read_bit(bits))
            skip_scaling_list(bits, i < 6 ? 16 : 64);
    return array_type;
}

static void skip_picture_order(Bits *bits)
{
    guint type = read_ue(bits, 2);
    if (type == 0)
        read_ue(bits, 12); /* log2_max_pic_order_cnt_lsb_minus4 */
    if (type != 1)
        return;
    read_bit(bits); /* delta_pic_order_always_zero_flag */
    read_se(bits);  /* offset_for_non_ref_pic */
    read_se(bits);  /* offset_for_top_to_bottom_field */
    for (guint left = read_ue(bits, 255); left; left--)
        read_se(bits); /* offset_for_ref_frame */
}

/* Take two sides' cropping, in @unit pixels, from @side. */
static guint crop(Bits *bits, guint side, guint unit)
{
    guint before = read_ue(bits, side), after = read_ue(bits, side);
    guint64 cropped = ((guint64)before + after) * unit;
    if (cropped >= side)
        bits->bad = TRUE;
    return bits->bad ? 0 : side - (guint)cropped;
}

static void read_size(Bits *bits, guint chroma, HxH264Sps *sps)
{
    guint columns = read_ue(bits, MACROBLOCKS_MAX - 1) + 1;
    guint rows = read_ue(bits, MACROBLOCKS_MAX - 1) + 1;
    guint fields = read_bit(bits) ? 1 : 2;
    if (fields == 2)
        read_bit(bits); /* mb_adaptive_frame_field_flag */
    read_bit(bits);     /* direct_8x8_inference_flag */
    if (rows * fields > MACROBLOCKS_MAX)
        bits->bad = TRUE;
    sps->width = columns * 16;
    sps->height = rows * fields * 16;
    if (!read_bit(bits))
        return;
    sps->width = crop(bits, sps->width, chroma == 1 || chroma == 2 ? 2 : 1);
    sps->height = crop(bits, sps->height, (chroma == 1 ? 2 : 1) * fields);
}

gboolean hx_h264_sps_parse(const guint8 *nal, gsize size, HxH264Sps *ret_sps)
{
    Bits bits = {.next = nal, .end = nal + size};
    *ret_sps = (HxH264Sps){0};
    /* nal_unit_header: forbidden_zero_bit, nal_ref_idc, nal_unit_type */
    guint header = read_bits(&bits, 8);
    if (bits.bad || header & 0x80 || (header & 0x1f) != HX_H264_NAL_SPS)
        return FALSE;
    HxH264Sps sps = {.profile_idc = (guint8)read_bits(&bits, 8),
                     .constraints = (guint8)read_bits(&bits, 8),
                     .level_idc = (guint8)read_bits(&bits, 8)};
    read_ue(&bits, 31); /* seq_parameter_set_id */
    guint chroma = has_chroma_format(sps.profile_idc) ? read_chroma_format(&bits) : 1;
    read_ue(&bits, 12); /* log2_max_frame_num_minus4 */
    skip_picture_order(&bits);
    read_ue(&bits, 16); /* max_num_ref_frames */
    read_bit(&bits);    /* gaps_in_frame_num_value_allowed_flag */
    read_size(&bits, chroma, &sps);
    if (!bits.bad)
        *ret_sps = sps;
    return !bits.bad;
}

/* --- names --------------------------------------------------------------------------------------
 */

/* Whether constraint_set@n_flag is set. */
static gboolean constraint(const HxH264Sps *sps, guint n)
{
    return sps->constraints >> (7 - n) & 1;
}

char *hx_h264_sps_profile(const HxH264Sps *sps)
{
    const char *intra = constraint(sps, 3) ? " Intra" : "";
    switch (sps->profile_idc) {
    case 66:
        return g_strdup(constraint(sps, 1) ? "Constrained Baseline" : "Baseline");
    case 77:
        return g_strdup("Main");
    case 88:
        return g_strdup("Extended");
    case 100:
        return g_strdup(!constraint(sps, 4)  ? "High"
                        : constraint(sps, 5) ? "Constrained High"
                                             : "Progressive High");
    case 110:
        return g_strconcat("High 10", intra, NULL);
    case 122:
        return g_strconcat("High 4:2:2", intra, NULL);
    case 244:
        return g_strconcat("High 4:4:4", *intra ? intra : " Predictive", NULL);
    case 44:
        return g_strdup("CAVLC 4:4:4 Intra");
    default:
        return g_strdup_printf("profile %u", sps->profile_idc);
    }
}

char *hx_h264_sps_level(const HxH264Sps *sps)
{
    guint profile = sps->profile_idc, level = sps->level_idc;
    gboolean is_old = profile == 66 || profile == 77 || profile == 88;
    if (level == 9 || (level == 11 && is_old && constraint(sps, 3)))
        return g_strdup("1b");
    return g_strdup_printf("%u.%u", level / 10, level % 10);
}
