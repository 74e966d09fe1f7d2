/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guest-provision/session/stream-protocol.h"

#include <string.h>

#define assert_wire(bytes, ...)                                                                    \
    do {                                                                                           \
        static const guint8 expected[] = {__VA_ARGS__};                                            \
        gsize size;                                                                                \
        const void *data = g_bytes_get_data(bytes, &size);                                         \
        g_assert_cmpmem(data, size, expected, sizeof expected);                                    \
    } while (0)

/* A copy that ends where an allocation does: reading beyond is caught under ASan and valgrind. */
static gboolean decode_exact(const void *data, gsize size, HxStreamMessage *message)
{
    g_autofree guint8 *copy = g_memdup2(data, size);
    g_autoptr(GError) error = NULL;
    gboolean good = hx_stream_decode(copy, size, message, &error);
    if (good)
        g_assert_no_error(error);
    else
        g_assert_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA);
    return good;
}

static void assert_all_truncations_fail(GBytes *bytes, gsize least)
{
    gsize size;
    const guint8 *data = g_bytes_get_data(bytes, &size);
    HxStreamMessage message;
    for (gsize n = 0; n < least; n++)
        g_assert_false(decode_exact(data, n, &message));
    g_assert_true(decode_exact(data, least, &message));
}

static void decode(GBytes *bytes, HxStreamMessage *message)
{
    gsize size;
    const void *data = g_bytes_get_data(bytes, &size);
    g_autoptr(GError) error = NULL;
    g_assert_true(hx_stream_decode(data, size, message, &error));
    g_assert_no_error(error);
}

static void test_init(void)
{
    HxStreamInit init = {.codec = HX_STREAM_CODEC_H264,
                         .width = 1280,
                         .height = 720,
                         .fps = 30,
                         .audio_channels = 2,
                         .sample_rate = 48000,
                         .touch = TRUE};
    g_autoptr(GBytes) bytes = hx_stream_encode_init(&init);
    assert_wire(bytes, 0x30, 1, 0x05, 0x00, 0x02, 0xd0, 30, 2, 0x00, 0x00, 0xbb, 0x80, 1);
    HxStreamMessage message;
    decode(bytes, &message);
    g_assert_cmpint(message.type, ==, HX_STREAM_INIT);
    g_assert_cmpint(message.init.codec, ==, 1);
    g_assert_cmpint(message.init.width, ==, 1280);
    g_assert_cmpint(message.init.height, ==, 720);
    g_assert_cmpint(message.init.fps, ==, 30);
    g_assert_cmpint(message.init.audio_channels, ==, 2);
    g_assert_cmpint(message.init.sample_rate, ==, 48000);
    g_assert_true(message.init.touch);
    assert_all_truncations_fail(bytes, 13);
}

static const HxStreamFrame frames[] = {
    {1, HX_STREAM_FRAME_KEY, 0x0102030405060708, 1920, 1080, (const guint8 *)"\0\0\0\1\x65x", 6},
    {1, HX_STREAM_FRAME_REPLAY, 33333, 1920, 1080, (const guint8 *)"\0\0\1\x41", 4},
};

static void assert_frame(const HxStreamFrame *frame, const HxStreamFrame *expected)
{
    g_assert_cmpint(frame->codec, ==, expected->codec);
    g_assert_cmpint(frame->flags, ==, expected->flags);
    g_assert_cmpuint(frame->pts_us, ==, expected->pts_us);
    g_assert_cmpint(frame->width, ==, expected->width);
    g_assert_cmpint(frame->height, ==, expected->height);
    g_assert_cmpmem(frame->data, frame->size, expected->data, expected->size);
}

static void test_frame(void)
{
    g_autoptr(GBytes) bytes = hx_stream_encode_frame(&frames[0]);
    assert_wire(bytes, 0x01, 1, 1, 1, 2, 3, 4, 5, 6, 7, 8, 0x07, 0x80, 0x04, 0x38, 0, 0, 0, 1, 0x65,
                'x');
    HxStreamMessage message;
    decode(bytes, &message);
    g_assert_cmpint(message.type, ==, HX_STREAM_VIDEO_FRAME);
    assert_frame(&message.frame, &frames[0]);
    assert_all_truncations_fail(bytes, 15);
    g_autoptr(GBytes) again = hx_stream_frame_as_replay(bytes);
    assert_wire(again, 0x01, 1, 3, 1, 2, 3, 4, 5, 6, 7, 8, 0x07, 0x80, 0x04, 0x38, 0, 0, 0, 1, 0x65,
                'x');
}

static void test_batch(void)
{
    g_autoptr(GBytes) bytes = hx_stream_encode_batch(frames, 2);
    assert_wire(bytes, 0x03, 0, 2,                                                 /* count */
                0, 0, 0, 21, 0x01, 1, 1, 1, 2, 3, 4, 5, 6, 7, 8, 7, 0x80, 4, 0x38, /* first */
                0, 0, 0, 1, 0x65, 'x',                                             /* its data */
                0, 0, 0, 19, 0x01, 1, 2, 0, 0, 0, 0, 0, 0, 0x82, 0x35, 7, 0x80, 4,
                0x38, /* second */
                0, 0, 1, 0x41);
    HxStreamMessage message;
    decode(bytes, &message);
    HxStreamFrame frame;
    for (guint i = 0; i < G_N_ELEMENTS(frames); i++) {
        g_assert_true(hx_stream_batch_next(&message.batch, &frame, NULL));
        assert_frame(&frame, &frames[i]);
    }
    g_autoptr(GError) error = NULL;
    g_assert_false(hx_stream_batch_next(&message.batch, &frame, &error));
    g_assert_no_error(error);
}

/* Every way in which a batch's counts can lie ends the walk with an error. */
static void test_batch_malformed(void)
{
    g_autoptr(GBytes) bytes = hx_stream_encode_batch(frames, 2);
    gsize size;
    const guint8 *data = g_bytes_get_data(bytes, &size);
    for (gsize n = 3; n <= size; n++) {
        g_autofree guint8 *copy = g_memdup2(data, n);
        if (n == size)
            copy[7] = 0x30; /* the first element is no VideoFrame */
        HxStreamMessage message;
        HxStreamFrame frame;
        g_autoptr(GError) error = NULL;
        g_assert_true(hx_stream_decode(copy, n, &message, NULL));
        while (hx_stream_batch_next(&message.batch, &frame, &error))
            ;
        g_assert_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA);
        g_assert_false(hx_stream_batch_next(&message.batch, &frame, NULL));
    }
    static const guint8 huge[] = {0x03, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01};
    HxStreamMessage message;
    HxStreamFrame frame;
    g_assert_true(hx_stream_decode(huge, sizeof huge, &message, NULL));
    g_assert_false(hx_stream_batch_next(&message.batch, &frame, NULL));
}

static void test_error(void)
{
    g_autoptr(GBytes) bytes = hx_stream_encode_error("no encoder");
    assert_wire(bytes, 0x31, 0, 10, 'n', 'o', ' ', 'e', 'n', 'c', 'o', 'd', 'e', 'r');
    HxStreamMessage message;
    decode(bytes, &message);
    g_assert_cmpint(message.type, ==, HX_STREAM_ERROR);
    g_assert_cmpmem(message.error.text, message.error.length, "no encoder", 10);
    assert_all_truncations_fail(bytes, 13);
    static const guint8 bad_text[] = {0x31, 0, 2, 0xff, 0xfe};
    g_assert_false(decode_exact(bad_text, sizeof bad_text, &message));
}

static void test_error_long(void)
{
    g_autofree char *text = g_malloc(70001);
    for (int i = 0; i < 70000; i += 2)
        memcpy(text + i, "\xc3\xa9", 2); /* é */
    text[70000] = '\0';
    g_autoptr(GBytes) bytes = hx_stream_encode_error(text);
    HxStreamMessage message;
    decode(bytes, &message); /* still whole characters */
    g_assert_cmpuint(message.error.length, ==, 65534);
    g_assert_cmpuint(g_bytes_get_size(bytes), ==, 65537);
}

static void test_ping(void)
{
    HxStreamPing ping = {.sequence = 7, .client_time_us = 0x1122334455667788};
    g_autoptr(GBytes) bytes = hx_stream_encode_ping(&ping);
    assert_wire(bytes, 0x40, 0, 0, 0, 7, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88);
    HxStreamMessage message;
    decode(bytes, &message);
    g_assert_cmpint(message.type, ==, HX_STREAM_PING);
    g_assert_cmpuint(message.ping.sequence, ==, 7);
    g_assert_cmpuint(message.ping.client_time_us, ==, 0x1122334455667788);
    assert_all_truncations_fail(bytes, 13);
}

static void test_pong(void)
{
    HxStreamPong pong = {.sequence = 0x01020304,
                         .client_time_us = 5,
                         .server_time_us = 6,
                         .encoder_latency_ms = 0x0708,
                         .scheduling_p50_ms = 9,
                         .scheduling_p99_ms = 10,
                         .scheduling_max_ms = 11};
    g_autoptr(GBytes) bytes = hx_stream_encode_pong(&pong);
    assert_wire(bytes, 0x41, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 6, 7, 8, 0, 9,
                0, 10, 0, 11);
    HxStreamMessage message;
    decode(bytes, &message);
    g_assert_cmpint(message.type, ==, HX_STREAM_PONG);
    g_autoptr(GBytes) again = hx_stream_encode_pong(&message.pong);
    g_assert_true(g_bytes_equal(bytes, again));
    assert_all_truncations_fail(bytes, 29);
}

static void test_skipped(void)
{
    for (int type = 0; type < 256; type++) {
        guint8 data = (guint8)type;
        HxStreamMessage message;
        gboolean known =
            type == 1 || type == 3 || type == 0x30 || type == 0x31 || type == 0x40 || type == 0x41;
        g_assert_cmpint(decode_exact(&data, 1, &message), ==, !known);
        g_assert_cmpint(message.type, ==, type);
    }
}

static void test_request(void)
{
    HxStreamRequest request = {.session_id = (char *)"desktop",
                               .width = 1280,
                               .height = 720,
                               .fps = 30,
                               .bitrate_kbit = 8000};
    g_autofree char *text = hx_stream_request_build(&request);
    g_assert_cmpstr(text, ==,
                    "{\"type\":\"init\",\"session_id\":\"desktop\",\"width\":1280,\"height\":720,"
                    "\"fps\":30,\"bitrate\":8000,\"packet_size\":1024,\"play_audio_local\":false,"
                    "\"video_supported_formats\":1}");
    g_auto(HxStreamRequest) parsed = {0};
    g_autoptr(GError) error = NULL;
    g_assert_true(hx_stream_request_parse(text, strlen(text), &parsed, &error));
    g_assert_no_error(error);
    g_assert_cmpstr(parsed.session_id, ==, "desktop");
    g_assert_cmpint(parsed.width, ==, 1280);
    g_assert_cmpint(parsed.height, ==, 720);
    g_assert_cmpint(parsed.fps, ==, 30);
    g_assert_cmpint(parsed.bitrate_kbit, ==, 8000);
    g_assert_cmpint(parsed.gop_size, ==, 0);
}

static void test_request_bad(void)
{
    g_autofree char *deep = g_strnfill(G_MAXINT16, '[');
    const char *const texts[] = {
        "",
        "x",
        "null",
        "[]",
        "{}",
        "{\"type\":\"input\"}",
        "{\"type\":7}",
        "{\"type\":\"init\",\"width\":-1}",
        "{\"type\":\"init\",\"width\":65536}",
        "{\"type\":\"init\",\"width\":\"1280\"}",
        "{\"type\":\"init\",\"height\":[720]}",
        "{\"type\":\"init\",\"fps\":99999999999}",
        "{\"type\":\"init\",\"bitrate\":{}}",
        "{\"type\":\"init\"",
        "{\"type\":\"init\",\"session_id\":\"\xff\"}",
        "{\"type\":\"init\"}4",
        "4{\"type\":\"input\"}",
        deep,
    };
    for (guint i = 0; i < G_N_ELEMENTS(texts); i++) {
        HxStreamRequest request;
        g_autoptr(GError) error = NULL;
        g_autofree char *exact = g_memdup2(texts[i], strlen(texts[i]));
        g_assert_false(hx_stream_request_parse(exact, strlen(texts[i]), &request, &error));
        g_assert_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA);
        g_assert_null(request.session_id);
    }
}

static void test_complete(void)
{
    g_autofree char *text = hx_stream_complete_build(1280, 720);
    g_assert_cmpstr(text, ==,
                    "{\"ConnectionComplete\":{\"capabilities\":{\"touch\":false},"
                    "\"width\":1280,\"height\":720}}");
    int width, height;
    g_autoptr(GError) error = NULL;
    g_assert_true(hx_stream_complete_parse(text, strlen(text), &width, &height, &error));
    g_assert_no_error(error);
    g_assert_cmpint(width, ==, 1280);
    g_assert_cmpint(height, ==, 720);
    g_assert_false(hx_stream_complete_parse("{}", 2, &width, &height, &error));
    g_assert_no_error(error);
    g_assert_false(hx_stream_complete_parse("{", 1, &width, &height, &error));
    g_assert_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA);
}

static void test_source(void)
{
    const HxStreamSource best = {.source = (char *)"resource", .encoder = (char *)"vsockenc"};
    g_autofree char *plain = hx_stream_source_build(&best);
    g_assert_cmpstr(plain, ==,
                    "{\"FrameSource\":{\"source\":\"resource\",\"encoder\":\"vsockenc\"}}");
    const HxStreamSource worse = {.source = (char *)"guest",
                                  .encoder = (char *)"x264enc",
                                  .reason = (char *)"it \"hung\" \xff"};
    g_autofree char *text = hx_stream_source_build(&worse);
    g_assert_cmpstr(text, ==,
                    "{\"FrameSource\":{\"source\":\"guest\",\"encoder\":\"x264enc\","
                    "\"reason\":\"it \\\"hung\\\" \xef\xbf\xbd\"}}");
    g_auto(HxStreamSource) told = {0};
    g_autoptr(GError) error = NULL;
    g_assert_true(hx_stream_source_parse(text, strlen(text), &told, &error));
    g_assert_no_error(error);
    g_assert_cmpstr(told.source, ==, "guest");
    g_assert_cmpstr(told.encoder, ==, "x264enc");
    g_assert_cmpstr(told.reason, ==, "it \"hung\" \xef\xbf\xbd");
    /* Neither is taken for the other. */
    int width, height;
    g_assert_false(hx_stream_complete_parse(text, strlen(text), &width, &height, &error));
    g_assert_no_error(error);
    g_autofree char *complete = hx_stream_complete_build(64, 64);
    HxStreamSource none;
    g_assert_false(hx_stream_source_parse(complete, strlen(complete), &none, &error));
    g_assert_no_error(error);
    static const char *const bad[] = {
        "{\"FrameSource\":{}}", "{\"FrameSource\":{\"source\":\"a\"}}",
        "{\"FrameSource\":{\"source\":1,\"encoder\":\"a\"}}", "7", ""};
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) cause = NULL;
        g_assert_false(hx_stream_source_parse(bad[i], strlen(bad[i]), &none, &cause));
        g_assert_error(cause, G_IO_ERROR, G_IO_ERROR_INVALID_DATA);
        g_assert_null(none.source);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/stream-protocol/init", test_init);
    g_test_add_func("/stream-protocol/frame", test_frame);
    g_test_add_func("/stream-protocol/batch", test_batch);
    g_test_add_func("/stream-protocol/batch-malformed", test_batch_malformed);
    g_test_add_func("/stream-protocol/error", test_error);
    g_test_add_func("/stream-protocol/error-long", test_error_long);
    g_test_add_func("/stream-protocol/ping", test_ping);
    g_test_add_func("/stream-protocol/pong", test_pong);
    g_test_add_func("/stream-protocol/skipped", test_skipped);
    g_test_add_func("/stream-protocol/request", test_request);
    g_test_add_func("/stream-protocol/request-bad", test_request_bad);
    g_test_add_func("/stream-protocol/complete", test_complete);
    g_test_add_func("/stream-protocol/source", test_source);
    return g_test_run();
}
