/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the stream says of itself, as ffmpeg reads it, and what changes in its course. */
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "launcher/base/fd.h"
#include "launcher/base/process.h"
#include "tests/fakes/encoder-client.h"

#define WIDTH 320
#define HEIGHT 240

static const char *const GOOD[] = {"--bitrate=40000000", NULL};

static HxfrFrameRequest request_of(guint32 format, guint32 width, guint32 height)
{
    return (HxfrFrameRequest){.width = width,
                              .height = height,
                              .format = format,
                              .stride = format == HXFR_FORMAT_NV12 ? (width + 1) & ~1u : width * 4};
}

/* The syntax elements of the first parameter sets of @stream, as ffmpeg names and reads them. */
static char *trace(const GByteArray *stream)
{
    g_autofree char *path = NULL;
    hx_autofd int fd = g_file_open_tmp("hx-stream-XXXXXX", &path, NULL);
    g_assert_cmpint(hx_write_all(fd, stream->data, stream->len), ==, 0);
    const char *argv[] = {"ffmpeg", "-nostdin",      "-f", "h264", "-i", path, "-c", "copy",
                          "-bsf:v", "trace_headers", "-f", "null", "-",  NULL};
    char *text = NULL;
    g_autoptr(GError) error = NULL;
    int status = -1;
    g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, &text, &status,
                 &error);
    g_assert_no_error(error);
    g_assert_cmpint(status, ==, 0);
    g_unlink(path);
    return text;
}

/* The value of element @name, or -1: "… video_full_range_flag   0 = 0". */
static gint64 element(const char *trace, const char *name)
{
    g_autofree char *spaced = g_strdup_printf(" %s ", name);
    const char *at = strstr(trace, spaced);
    const char *equals = at ? strchr(at, '=') : NULL;
    return equals ? g_ascii_strtoll(equals + 1, NULL, 10) : -1;
}

static guint64 coded(const char *trace, const char *in_macroblocks, const char *crop)
{
    gint64 offset = MAX(element(trace, crop), 0); /* ITU-T H.264, 7.4.2.1.1: in steps of two */
    return (guint64)((element(trace, in_macroblocks) + 1) * 16 - 2 * offset);
}

/* BT.709 of limited range, thirty frames a second, of the size that was asked for or the next even
 * one. */
static void test_description(TestService *service, const void *data)
{
    static const struct {
        guint32 format, width, height;
    } cases[] = {
        {HXFR_FORMAT_XR24, 320, 240}, {HXFR_FORMAT_AB24, 331, 187}, {HXFR_FORMAT_NV12, 331, 187},
        {HXFR_FORMAT_NV12, 640, 360}, {HXFR_FORMAT_XB24, 1, 1},
    };
    /* ITU-T H.264, annex E */
    static const struct {
        const char *name;
        gint64 value;
    } said[] = {
        {"profile_idc", 100},
        {"chroma_format_idc", 1},
        {"bit_depth_luma_minus8", 0},
        {"vui_parameters_present_flag", 1},
        {"video_full_range_flag", 0},
        {"colour_primaries", 1},
        {"transfer_characteristics", 1},
        {"matrix_coefficients", 1},
        {"chroma_sample_loc_type_top_field", 1},
        {"max_num_reorder_frames", 0},
        {"num_units_in_tick", 1},
        {"time_scale", 60}, /* of fields */
    };
    hx_autofd int fd = test_connect(service);
    for (guint16 i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GByteArray) stream = g_byte_array_new();
        const HxfrFrameRequest request =
            request_of(cases[i].format, cases[i].width, cases[i].height);
        test_send_pattern(fd, i, 0, &request, 0);
        test_expect_frame(fd, i, stream);
        g_autofree char *text = trace(stream);
        g_assert_cmpuint(coded(text, "pic_width_in_mbs_minus1", "frame_crop_right_offset"), ==,
                         (cases[i].width + 1) & ~1u);
        g_assert_cmpuint(coded(text, "pic_height_in_map_units_minus1", "frame_crop_bottom_offset"),
                         ==, (cases[i].height + 1) & ~1u);
        for (size_t j = 0; j < G_N_ELEMENTS(said); j++) {
            if (element(text, said[j].name) != said[j].value)
                g_error("%s is not %" G_GINT64_FORMAT ": %s", said[j].name, said[j].value, text);
        }
    }
}

/* Another format begins with a keyframe, and has the colours of each frame. */
static void test_formats(TestService *service, const void *data)
{
    static const guint32 formats[] = {HXFR_FORMAT_XR24, HXFR_FORMAT_AB24, HXFR_FORMAT_NV12,
                                      HXFR_FORMAT_XB24, HXFR_FORMAT_AR24, HXFR_FORMAT_NV12};
    hx_autofd int fd = test_connect(service);
    g_autoptr(GByteArray) stream = g_byte_array_new();
    for (guint i = 0; i < 2 * G_N_ELEMENTS(formats); i++) {
        const HxfrFrameRequest request = request_of(formats[i / 2], WIDTH, HEIGHT);
        test_send_pattern(fd, 1, 0, &request, i);
        g_assert_cmpint(test_expect_frame(fd, 1, stream).is_keyframe, ==, i % 2 == 0);
    }
    test_decode_and_compare(stream, WIDTH, HEIGHT, 2 * G_N_ELEMENTS(formats));
}

/* Another size is: it begins with a keyframe, and a decoder needs nothing from before. */
static void test_sizes(TestService *service, const void *data)
{
    static const guint32 sizes[][2] = {{320, 240}, {640, 360}, {331, 187},
                                       {332, 188}, {320, 240}, {320, 200}};
    hx_autofd int fd = test_connect(service);
    gint64 pts = 1;
    for (guint i = 0; i < G_N_ELEMENTS(sizes); i++) {
        g_autoptr(GByteArray) stream = g_byte_array_new();
        HxfrFrameRequest request = request_of(HXFR_FORMAT_XR24, sizes[i][0], sizes[i][1]);
        for (guint frame = 0; frame < 3; frame++) {
            request.pts = pts *= -3;
            test_send_pattern(fd, 1, 0, &request, frame);
            HxfrFrameResponse response = test_expect_frame(fd, 1, stream);
            /* Also where 331 × 187, which is coded as 332 × 188, becomes that. */
            g_assert_cmpint(response.is_keyframe, ==, frame == 0);
            g_assert_cmpint(response.pts, ==, pts);
        }
        test_decode_and_compare(stream, sizes[i][0], sizes[i][1], 3);
    }
}

static void configure(int fd, guint32 bitrate, guint32 fps)
{
    guint8 bytes[HXFR_CONFIG_REQ_SIZE];
    const HxfrConfigReq config = {.bitrate = bitrate, .fps_num = fps, .fps_den = fps ? 1 : 0};
    hxfr_encode_config_req(bytes, 1, &config);
    test_send(fd, bytes, sizeof bytes);
}

/* Thirty frames of noise, of which a quarter moves: that is no change of scene; and whether the
 * first one was a keyframe; the bytes of the last 20. */
static guint noise(int fd, GByteArray *stream, gboolean *ret_keyframe)
{
    const HxfrFrameRequest request = request_of(HXFR_FORMAT_XR24, WIDTH, HEIGHT);
    const guint32 size = WIDTH * HEIGHT * 4;
    g_autofree guint32 *pixels = g_malloc(size);
    g_autoptr(GRand) still = g_rand_new_with_seed(1);
    guint8 bytes[HXFR_FRAME_REQUEST_SIZE];
    guint begin = 0;
    for (guint32 i = 0; i < size / 4; i++)
        pixels[i] = g_rand_int(still);
    hxfr_encode_frame_request(bytes, 1, HXFR_FLAG_PIXELS, &request, size);
    for (guint i = 0; i < 30; i++) {
        for (guint32 j = 0; j < WIDTH * HEIGHT / 4; j++)
            pixels[j] = (guint32)g_test_rand_int();
        if (i == 10)
            begin = stream->len;
        test_send(fd, bytes, sizeof bytes);
        test_send(fd, pixels, size);
        gboolean is_keyframe = test_expect_frame(fd, 1, stream).is_keyframe;
        if (i == 0)
            *ret_keyframe = is_keyframe;
        else
            g_assert_false(is_keyframe);
    }
    return stream->len - begin;
}

/* Bitrate and frame rate change in the running stream: each frame has its part at once.  The SPS of
 * the next keyframe says the new frame rate, be it one that is due or one that is asked for. */
static void test_config(TestService *service, const void *data)
{
    hx_autofd int fd = test_connect(service);
    g_autoptr(GByteArray) stream = g_byte_array_new();
    gboolean is_keyframe;
    configure(fd, 4000000, 30);
    guint much = noise(fd, stream, &is_keyframe);
    g_assert_true(is_keyframe);
    configure(fd, 1000000, 0);
    guint little = noise(fd, stream, &is_keyframe);
    g_assert_false(is_keyframe);
    configure(fd, 4000000, 0);
    guint again = noise(fd, stream, &is_keyframe);
    g_assert_false(is_keyframe);
    g_test_message("4 Mbit/s: %u bytes, 1 Mbit/s: %u, 4 Mbit/s: %u", much, little, again);
    g_assert_cmpuint(little * 2, <, much);
    g_assert_cmpuint(little * 2, <, again);
    g_autofree char *before = trace(stream);
    g_assert_cmpint(element(before, "time_scale"), ==, 60);

    configure(fd, 0, 120);
    guint fast = noise(fd, stream, &is_keyframe);
    g_assert_false(is_keyframe);
    g_test_message("at 120 frames a second: %u bytes", fast);
    g_assert_cmpuint(fast * 2, <, much);

    g_byte_array_set_size(stream, 0); /* 120 frames, the standard interval, after the keyframe */
    guint still_fast = noise(fd, stream, &is_keyframe);
    g_assert_true(is_keyframe);
    g_assert_cmpuint(still_fast * 2, <, much);
    g_autofree char *after = trace(stream);
    g_assert_cmpint(element(after, "time_scale"), ==, 240);

    configure(fd, 0, 30);
    guint slow = noise(fd, stream, &is_keyframe);
    g_assert_false(is_keyframe);
    g_test_message("at 30 again: %u bytes", slow);
    g_assert_cmpuint(fast * 3, <, slow * 2);
    guint8 bytes[HXFR_HEADER_SIZE];
    hxfr_encode_empty(bytes, HXFR_KEYFRAME_REQ, 1);
    test_send(fd, bytes, sizeof bytes);
    g_byte_array_set_size(stream, 0);
    noise(fd, stream, &is_keyframe);
    g_assert_true(is_keyframe);
    g_autofree char *asked = trace(stream);
    g_assert_cmpint(element(asked, "time_scale"), ==, 60);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, options, function)                                                               \
    g_test_add("/stream/" name, TestService, options, test_service_set_up, function,               \
               test_service_tear_down)
    ADD("description", NULL, test_description);
    ADD("formats", GOOD, test_formats);
    ADD("sizes", GOOD, test_sizes);
    ADD("config", NULL, test_config);
    return g_test_run();
}
