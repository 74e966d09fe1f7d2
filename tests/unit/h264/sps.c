/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Parameter sets that x264 makes, those that the standard has and x264 does not, and what is none.
 */
#include "cli/h264/sps.h"

#include <stdint.h>
#include <string.h>
#include <x264.h>

typedef struct {
    const char *profile;
    int csp, bit_depth;
    int width, height;
    int level; /* 0: x264's choice */
    gboolean interlaced, scaling;
    const char *name; /* of the profile, as it is told */
} Case;

static const Case cases[] = {
    {"high", X264_CSP_I420, 8, 1280, 720, 31, FALSE, FALSE, "High"},
    {"high", X264_CSP_I420, 8, 1920, 1080, 0, FALSE, FALSE, "High"},
    {"high", X264_CSP_I420, 8, 1366, 768, 40, FALSE, TRUE, "High"},
    {"high", X264_CSP_I420, 8, 1920, 1080, 0, TRUE, TRUE, "High"},
    {"baseline", X264_CSP_I420, 8, 2, 2, 10, FALSE, FALSE, "Constrained Baseline"},
    {"baseline", X264_CSP_I420, 8, 176, 144, 9, FALSE, FALSE, "Constrained Baseline"},
    {"main", X264_CSP_I420, 8, 642, 482, 0, FALSE, FALSE, "Main"},
    {"main", X264_CSP_I420, 8, 720, 576, 0, TRUE, FALSE, "Main"},
    {"high", X264_CSP_I400, 8, 1279, 719, 0, FALSE, FALSE, "High"},
    {"high10", X264_CSP_I420, 10, 3840, 2160, 0, FALSE, TRUE, "High 10"},
    {"high422", X264_CSP_I422, 8, 1278, 721, 0, FALSE, TRUE, "High 4:2:2"},
    {"high444", X264_CSP_I444, 8, 1279, 721, 0, FALSE, TRUE, "High 4:4:4 Predictive"},
    {"high444", X264_CSP_I444, 10, 4094, 2302, 0, FALSE, FALSE, "High 4:4:4 Predictive"},
};

/* What x264 makes of @c: a byte stream; and the level that it chose. */
static GByteArray *x264_headers(const Case *c, int *ret_level)
{
    x264_param_t param;
    g_assert_cmpint(x264_param_default_preset(&param, "superfast", "zerolatency"), ==, 0);
    param.i_log_level = X264_LOG_NONE;
    param.i_csp = c->csp;
    param.i_bitdepth = c->bit_depth;
    param.i_width = c->width;
    param.i_height = c->height;
    param.b_interlaced = c->interlaced;
    param.i_fps_num = 1;
    param.i_threads = 1;
    if (c->level)
        param.i_level_idc = c->level;
    if (c->scaling) {
        /* Lists of its own for each kind of block. */
        param.i_cqm_preset = X264_CQM_CUSTOM;
        memset(param.cqm_4iy, 20, sizeof param.cqm_4iy);
        memset(param.cqm_8py, 30, sizeof param.cqm_8py);
        for (size_t i = 0; i < sizeof param.cqm_8iy; i++)
            param.cqm_8iy[i] = 250 - i;
    }
    g_assert_cmpint(x264_param_apply_profile(&param, c->profile), ==, 0);
    x264_t *encoder = x264_encoder_open(&param);
    g_assert_nonnull(encoder);
    x264_encoder_parameters(encoder, &param);
    *ret_level = param.i_level_idc;
    x264_nal_t *nals;
    int count;
    g_assert_cmpint(x264_encoder_headers(encoder, &nals, &count), >, 0);
    GByteArray *bytes = g_byte_array_new();
    for (int i = count - 1; i >= 0; i--) /* SPS and PPS are not the first */
        g_byte_array_append(bytes, nals[i].p_payload, nals[i].i_payload);
    x264_encoder_close(encoder);
    return bytes;
}

static void test_x264(const void *data)
{
    const Case *c = data;
    int level;
    g_autoptr(GByteArray) bytes = x264_headers(c, &level);
    const guint8 *nal;
    gsize size;
    HxH264Sps sps;
    g_assert_true(hx_h264_find_nal(bytes->data, bytes->len, HX_H264_NAL_PPS, &nal, &size));
    g_assert_false(hx_h264_sps_parse(nal, size, &sps));
    g_assert_true(hx_h264_find_nal(bytes->data, bytes->len, HX_H264_NAL_SPS, &nal, &size));
    g_assert_true(hx_h264_sps_parse(nal, size, &sps));
    g_assert_cmpuint(sps.width, ==, c->width);
    g_assert_cmpuint(sps.height, ==, c->height);
    g_autofree char *profile = hx_h264_sps_profile(&sps);
    g_assert_cmpstr(profile, ==, c->name);
    g_autofree char *name = hx_h264_sps_level(&sps);
    g_autofree char *expected =
        level == 9 ? g_strdup("1b") : g_strdup_printf("%d.%d", level / 10, level % 10);
    g_assert_cmpstr(name, ==, expected);
    /* Cut short it is none until the size is there, and then the same. */
    gboolean had = FALSE;
    for (gsize part = 0; part < size; part++) {
        HxH264Sps cut;
        g_autofree guint8 *copy = g_memdup2(nal, part); /* of that size: reads beyond show */
        gboolean has = hx_h264_sps_parse(copy, part, &cut);
        g_assert_true(has || !had);
        g_assert_true(!has || memcmp(&cut, &sps, sizeof sps) == 0);
        had = has;
    }
}

/* --- by hand ------------------------------------------------------------------------------------
 */

typedef struct {
    GByteArray *bytes;
    guint free; /* bits of the last byte */
} Writer;

static void put(Writer *writer, guint count, guint32 value)
{
    while (count--) {
        if (writer->free == 0) {
            g_byte_array_append(writer->bytes, (const guint8 *)"", 1);
            writer->free = 8;
        }
        writer->free--;
        writer->bytes->data[writer->bytes->len - 1] |= (value >> count & 1) << writer->free;
    }
}

static void put_ue(Writer *writer, guint64 value)
{
    guint bits = g_bit_storage(value + 1);
    put(writer, bits - 1, 0);
    put(writer, 1, 1);
    if (bits > 1)
        put(writer, bits - 1, (guint32)(value + 1 - (1ull << (bits - 1))));
}

typedef struct {
    guint header, profile, id, chroma, order, columns, rows, fields, crop[4];
} Fields;

static const Fields good = {.header = 0x67, .profile = 66, .columns = 40, .rows = 30};

/* 7.3.2.1.1 of @f, with emulation prevention. */
static GByteArray *write_sps(const Fields *f)
{
    Writer writer = {.bytes = g_byte_array_new()};
    put(&writer, 8, f->header);
    put(&writer, 8, f->profile);
    put(&writer, 16, 30);
    put_ue(&writer, f->id);
    if (f->profile == 100) {
        put_ue(&writer, f->chroma);
        put(&writer, f->chroma == 3, 1); /* separate planes */
        put(&writer, 4, 0xc);            /* depths of 8 bits */
    }
    put_ue(&writer, 0);
    put_ue(&writer, f->order);
    if (f->order == 1) {
        put(&writer, 1, 0);
        put_ue(&writer, 4294967294); /* the largest there is */
        put_ue(&writer, 3);
        put_ue(&writer, 255);
        for (int i = 0; i < 255; i++)
            put_ue(&writer, i);
    } else {
        put_ue(&writer, 0);
    }
    put_ue(&writer, 1);
    put(&writer, 1, 0);
    put_ue(&writer, f->columns - 1);
    put_ue(&writer, f->rows - 1);
    put(&writer, 1, !f->fields);
    put(&writer, f->fields ? 2 : 1, 0);
    put(&writer, 1, 1);
    for (int i = 0; i < 4; i++)
        put_ue(&writer, f->crop[i]);
    put(&writer, 2, 1);
    GByteArray *escaped = g_byte_array_new();
    guint zeros = 0;
    for (guint i = 0; i < writer.bytes->len; i++) {
        guint8 byte = writer.bytes->data[i];
        if (zeros >= 2 && byte <= 3) {
            g_byte_array_append(escaped, (const guint8 *)"\3", 1);
            zeros = 0;
        }
        zeros = byte ? 0 : zeros + 1;
        g_byte_array_append(escaped, &byte, 1);
    }
    g_byte_array_unref(writer.bytes);
    return escaped;
}

static gboolean parse(const Fields *fields, HxH264Sps *ret_sps)
{
    g_autoptr(GByteArray) bytes = write_sps(fields);
    return hx_h264_sps_parse(bytes->data, bytes->len, ret_sps);
}

static void test_by_hand(void)
{
    HxH264Sps sps;
    g_assert_true(parse(&good, &sps));
    g_assert_cmpuint(sps.width, ==, 640);
    g_assert_cmpuint(sps.height, ==, 480);
    Fields order = good;
    order.order = 1; /* the largest of codes, and 255 offsets */
    g_assert_true(parse(&order, &sps));
    g_assert_cmpuint(sps.width, ==, 640);
    Fields cropped = good;
    memcpy(cropped.crop, (guint[]){1, 2, 3, 4}, sizeof cropped.crop);
    g_assert_true(parse(&cropped, &sps));
    g_assert_cmpuint(sps.width, ==, 640 - 2 * 3);
    g_assert_cmpuint(sps.height, ==, 480 - 2 * 7);
    cropped.fields = 1;
    g_assert_true(parse(&cropped, &sps));
    g_assert_cmpuint(sps.height, ==, 960 - 4 * 7);
    /* Planes that are coded apart are cropped by the pixel. */
    cropped.fields = 0;
    cropped.profile = 100;
    cropped.chroma = 3;
    g_assert_true(parse(&cropped, &sps));
    g_assert_cmpuint(sps.width, ==, 640 - 3);
}

static void test_refused(void)
{
    HxH264Sps sps;
    Fields wrong[] = {good, good, good, good, good, good, good, good, good};
    wrong[0].header = 0xe7; /* forbidden_zero_bit */
    wrong[1].header = 0x68; /* a PPS */
    wrong[2].id = 32;
    wrong[3].columns = 1057;
    wrong[4].rows = 4000000000;
    wrong[5].rows = 529;
    wrong[5].fields = 1;
    wrong[6].crop[0] = 320; /* of 320 pairs of columns */
    wrong[7].crop[3] = 4294967294;
    wrong[8].order = 3;
    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_test_message("%zu", i);
        g_assert_false(parse(&wrong[i], &sps));
        g_assert_cmpuint(sps.width, ==, 0);
    }
    /* A code of more than 32 bits, and one without an end. */
    static const guint8 zeros[64] = {0x67, 66, 0, 30};
    g_assert_false(hx_h264_sps_parse(zeros, sizeof zeros, &sps));
    g_assert_false(hx_h264_sps_parse(zeros, 6, &sps));
}

/* 00 00 03 stands for 00 00. */
static void test_emulation(void)
{
    Fields many = good;
    many.order = 1; /* a code with 31 zeros, at each place within its byte: */
    gboolean escaped = FALSE;
    for (many.columns = 1; many.columns <= 1056; many.columns++) {
        HxH264Sps sps;
        many.id = many.columns % 32;
        g_autoptr(GByteArray) bytes = write_sps(&many);
        escaped |= memmem(bytes->data, bytes->len, "\0\0\3", 3) != NULL;
        g_assert_true(hx_h264_sps_parse(bytes->data, bytes->len, &sps));
        g_assert_cmpuint(sps.width, ==, many.columns * 16);
    }
    g_assert_true(escaped);
}

static void test_units(void)
{
    static const guint8 stream[] = {0, 0, 1, 9, 0xf0, 0, 0, 0, 1, 0x67, 1, 2, 0, 0, 0, 1, 0x67, 3};
    const guint8 *nal;
    gsize size;
    g_assert_true(hx_h264_find_nal(stream, sizeof stream, HX_H264_NAL_SPS, &nal, &size));
    g_assert_cmpmem(nal, size, "\x67\1\2", 3);
    g_assert_false(hx_h264_find_nal(stream, sizeof stream, HX_H264_NAL_PPS, &nal, &size));
    g_assert_false(hx_h264_find_nal(stream, 3, 9, &nal, &size));
    g_assert_true(hx_h264_find_nal(stream, 4, 9, &nal, &size));
    g_assert_cmpuint(size, ==, 1);
    g_assert_false(hx_h264_find_nal(stream, 0, 9, &nal, &size));
}

static void test_names(void)
{
    static const struct {
        HxH264Sps sps;
        const char *profile, *level;
    } named[] = {
        {{.profile_idc = 66, .level_idc = 40}, "Baseline", "4.0"},
        {{.profile_idc = 77, .constraints = 0x10, .level_idc = 11}, "Main", "1b"},
        {{.profile_idc = 100, .constraints = 0x10, .level_idc = 11}, "High", "1.1"},
        {{.profile_idc = 100, .constraints = 0x0c, .level_idc = 9}, "Constrained High", "1b"},
        {{.profile_idc = 100, .constraints = 0x08, .level_idc = 62}, "Progressive High", "6.2"},
        {{.profile_idc = 110, .constraints = 0x10, .level_idc = 51}, "High 10 Intra", "5.1"},
        {{.profile_idc = 244, .constraints = 0x10, .level_idc = 51}, "High 4:4:4 Intra", "5.1"},
        {{.profile_idc = 1, .level_idc = 255}, "profile 1", "25.5"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(named); i++) {
        g_autofree char *profile = hx_h264_sps_profile(&named[i].sps);
        g_autofree char *level = hx_h264_sps_level(&named[i].sps);
        g_assert_cmpstr(profile, ==, named[i].profile);
        g_assert_cmpstr(level, ==, named[i].level);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *path = g_strdup_printf("/sps/x264/%s-%dx%d-%zu", cases[i].profile,
                                                cases[i].width, cases[i].height, i);
        g_test_add_data_func(path, &cases[i], test_x264);
    }
    g_test_add_func("/sps/by-hand", test_by_hand);
    g_test_add_func("/sps/refused", test_refused);
    g_test_add_func("/sps/emulation", test_emulation);
    g_test_add_func("/sps/units", test_units);
    g_test_add_func("/sps/names", test_names);
    return g_test_run();
}
