/* SPDX-License-Identifier: GPL-2.0-or-later */
/* helixvm-encoder as a process, driven over its sockets; its pictures are decoded by ffmpeg. */
#include <glib.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "launcher/base/fd.h"
#include "launcher/base/process.h"
#include "tests/fakes/encoder-client.h"
#include "tests/fakes/resident.h"

static const char *const NO_ENCODER[] = {"--encoder=null", "--keyframe-interval=3", NULL};
static const char *const GOOD[] = {"--bitrate=40000000", NULL};

static HxfrFrameRequest request_of(guint32 format, guint32 width, guint32 height, guint32 stride)
{
    return (HxfrFrameRequest){
        .width = width, .height = height, .format = format, .stride = stride, .pts = 1};
}

static void test_pixels(TestService *service, const void *data)
{
    static const struct {
        guint32 format, width, height, stride;
    } cases[] = {
        {HXFR_FORMAT_XR24, 640, 360, 640 * 4},   {HXFR_FORMAT_AR24, 640, 360, 640 * 4 + 64},
        {HXFR_FORMAT_XB24, 640, 360, 640 * 4},   {HXFR_FORMAT_AB24, 331, 187, 331 * 4},
        {HXFR_FORMAT_NV12, 640, 360, 768},       {HXFR_FORMAT_NV12, 331, 187, 336},
        {HXFR_FORMAT_XR24, 1280, 720, 1280 * 4},
    };
    hx_autofd int fd = test_connect(service);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GByteArray) stream = g_byte_array_new();
        HxfrFrameRequest request =
            request_of(cases[i].format, cases[i].width, cases[i].height, cases[i].stride);
        /* A session each, so that every stream stands alone. */
        for (guint frame = 0; frame < 3; frame++) {
            request.pts = 1000 + frame;
            test_send_pattern(fd, (guint16)i, 0, &request, frame);
            HxfrFrameResponse response = test_expect_frame(fd, (guint16)i, stream);
            g_assert_cmpint(response.pts, ==, request.pts);
            g_assert_cmpuint(response.nal_count, ==, 1);
            g_assert_cmpint(response.is_keyframe, ==, frame == 0 ? 1 : response.is_keyframe);
        }
        test_decode_and_compare(stream, cases[i].width, cases[i].height, 3);
    }
}

/* Times of any value come back; keyframes come when asked for and when the size changes. */
static void test_keyframes(TestService *service, const void *data)
{
    hx_autofd int fd = test_connect(service);
    HxfrFrameRequest request = request_of(HXFR_FORMAT_XR24, 320, 240, 1280);
    static const gint64 times[] = {G_MININT64, G_MAXINT64, -1, 0, 0, 7, 5};
    for (size_t i = 0; i < G_N_ELEMENTS(times); i++) {
        request.pts = times[i];
        test_send_pattern(fd, 5, 0, &request, 0);
        HxfrFrameResponse response = test_expect_frame(fd, 5, NULL);
        g_assert_cmpint(response.pts, ==, times[i]);
        g_assert_cmpint(response.is_keyframe, ==, i == 0);
    }
    request.force_keyframe = true;
    test_send_pattern(fd, 5, 0, &request, 0);
    g_assert_true(test_expect_frame(fd, 5, NULL).is_keyframe);
    request.force_keyframe = false;
    test_send_pattern(fd, 5, 0, &request, 0);
    g_assert_false(test_expect_frame(fd, 5, NULL).is_keyframe);

    guint8 bytes[HXFR_HEADER_SIZE];
    hxfr_encode_empty(bytes, HXFR_KEYFRAME_REQ, 5);
    test_send(fd, bytes, sizeof bytes);
    test_send_pattern(fd, 5, 0, &request, 0);
    g_assert_true(test_expect_frame(fd, 5, NULL).is_keyframe);

    /* Another size: a stream that begins there can be decoded. */
    g_autoptr(GByteArray) stream = g_byte_array_new();
    request = request_of(HXFR_FORMAT_XB24, 400, 200, 1600);
    for (guint frame = 0; frame < 2; frame++) {
        test_send_pattern(fd, 5, 0, &request, frame);
        HxfrFrameResponse response = test_expect_frame(fd, 5, stream);
        if (frame == 0)
            g_assert_true(response.is_keyframe);
    }
    test_decode_and_compare(stream, 400, 200, 2);
}

static gsize stream_size(int fd, guint frames)
{
    HxfrFrameRequest request = request_of(HXFR_FORMAT_XR24, 640, 360, 2560);
    g_autoptr(GByteArray) stream = g_byte_array_new();
    g_autoptr(GRand) noise = g_rand_new_with_seed(1);
    gsize size = 640 * 360 * 4;
    g_autofree guint8 *pixels = g_malloc(size);
    guint8 bytes[HXFR_FRAME_REQUEST_SIZE];
    hxfr_encode_frame_request(bytes, 0, HXFR_FLAG_PIXELS, &request, (guint32)size);
    for (guint i = 0; i < frames; i++) {
        for (gsize j = 0; j < size; j++)
            pixels[j] = (guint8)g_rand_int(noise);
        test_send(fd, bytes, sizeof bytes);
        test_send(fd, pixels, size);
        test_expect_frame(fd, 0, stream);
    }
    return stream->len;
}

static void test_config(TestService *service, const void *data)
{
    hx_autofd int fd = test_connect(service);
    guint8 bytes[HXFR_CONFIG_REQ_SIZE];
    HxfrConfigReq config = {.bitrate = 8000000, .fps_num = 30, .fps_den = 1};
    hxfr_encode_config_req(bytes, 0, &config);
    test_send(fd, bytes, sizeof bytes);
    stream_size(fd, 30);
    gsize many = stream_size(fd, 30);
    config.bitrate = 1000000;
    hxfr_encode_config_req(bytes, 0, &config);
    test_send(fd, bytes, sizeof bytes);
    stream_size(fd, 30);
    gsize few = stream_size(fd, 30);
    /* One eighth of the bits, more or less. */
    g_assert_cmpuint(many, >, 500000);
    g_assert_cmpuint(few * 4, <, many);

    /* Frame rates, also those of which one's share of the bitrate is more than an encoder's limit.
     */
    HxfrFrameRequest request = request_of(HXFR_FORMAT_XR24, 640, 360, 2560);
    test_send_pattern(fd, 0, 0, &request, 0);
    test_expect_frame(fd, 0, NULL);
    static const guint32 rates[][2] = {{60, 1},   {30000, 1001}, {1000, 1},
                                       {1, 1000}, {1000, 1},     {30, 1}};
    for (size_t i = 0; i < G_N_ELEMENTS(rates); i++) {
        config =
            (HxfrConfigReq){.bitrate = 1000000000, .fps_num = rates[i][0], .fps_den = rates[i][1]};
        hxfr_encode_config_req(bytes, 0, &config);
        test_send(fd, bytes, sizeof bytes);
        test_send_pattern(fd, 0, 0, &request, 0);
        test_expect_frame(fd, 0, NULL);
    }

    static const HxfrConfigReq bad[] = {
        {.bitrate = 1},
        {.bitrate = 4000000000u},
        {.fps_num = 30},
        {.fps_den = 1},
        {.fps_num = 100000, .fps_den = 1},
        {.fps_num = 1, .fps_den = 2000},
        {.fps_num = 0xffffffff, .fps_den = 0xffffffff},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        hxfr_encode_config_req(bytes, 3, &bad[i]);
        test_send(fd, bytes, sizeof bytes);
        test_expect_error(fd, 3, HXFR_E_INVALID);
    }
    test_send_pattern(fd, 0, 0, &request, 0);
    g_assert_false(test_expect_frame(fd, 0, NULL).is_keyframe);
}

/* After each of these the connection goes on. */
static void test_bad_requests(TestService *service, const void *data)
{
    hx_autofd int fd = test_connect(service);
    guint8 bytes[HXFR_HEADER_SIZE + 64] = {0};
    static const guint8 unknown[] = {0x00, 0x05, 0x06, 0x02, 0x11, 0x22, 0x31, 0x77, 0xff};
    for (size_t i = 0; i < G_N_ELEMENTS(unknown); i++) {
        static const guint32 sizes[256] = {
            [0x00] = 64, [0x05] = 28, [0x02] = 24, [0x22] = 72, [0x31] = 8, [0xff] = 260};
        HxfrHeader header = {unknown[i], 0, (guint16)(300 + i), sizes[unknown[i]]};
        guint8 message[HXFR_HEADER_SIZE + 260] = {0};
        hxfr_encode_header(message, &header);
        test_send(fd, message, HXFR_HEADER_SIZE + header.payload_size);
        test_expect_error(fd, (guint16)(300 + i), HXFR_E_INVALID);
    }
    static const HxfrFrameRequest bad[] = {
        {.width = 0, .height = 8, .format = HXFR_FORMAT_XR24, .stride = 32},
        {.width = 8, .height = 0, .format = HXFR_FORMAT_XR24, .stride = 32},
        {.width = 8, .height = 8, .format = HXFR_FORMAT_XR24, .stride = 31},
        {.width = 8, .height = 8, .format = 0x12345678, .stride = 32},
        {.width = 8192, .height = 8192, .format = HXFR_FORMAT_XR24, .stride = 8192 * 4},
        {.width = 8192, .height = 8192, .format = HXFR_FORMAT_NV12, .stride = 8192},
        {.width = 9000, .height = 8, .format = HXFR_FORMAT_XR24, .stride = 36000},
        {.width = 8, .height = 9, .format = HXFR_FORMAT_XR24, .stride = 32}, /* beyond the end */
        {.width = 8, .height = 2, .format = HXFR_FORMAT_XR24, .stride = 0xfffffff0},
        {.width = 8, .height = 8, .format = HXFR_FORMAT_NV12, .stride = 0x80000000},
    };
    static const guint8 pixels[8 * 32];
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        hxfr_encode_frame_request(bytes, 1, HXFR_FLAG_PIXELS, &bad[i], sizeof pixels);
        test_send(fd, bytes, HXFR_FRAME_REQUEST_SIZE);
        test_send(fd, pixels, sizeof pixels);
        test_expect_error(fd, 1, HXFR_E_INVALID);
    }
    /* No module listens: the client is told to send pixels. */
    HxfrFrameRequest request = request_of(HXFR_FORMAT_XR24, 64, 64, 256);
    request.resource_id = 3;
    hxfr_encode_frame_request(bytes, 1, 0, &request, 0);
    test_send(fd, bytes, HXFR_FRAME_REQUEST_SIZE);
    test_expect_error(fd, 1, HXFR_E_UNREADABLE);

    test_send_ping(fd, 0xbeef);
    test_expect_pong(fd, 0xbeef);
    test_send_pattern(fd, 1, 0, &request, 0);
    g_assert_true(test_expect_frame(fd, 1, NULL).is_keyframe);
}

/* These end their own connection, and no other. */
static void test_broken_streams(TestService *service, const void *data)
{
    hx_autofd int bystander = test_connect(service);
    guint8 bytes[HXFR_FRAME_REQUEST_SIZE];

    hx_autofd int garbage = test_connect(service);
    test_send(garbage, "GET / HTTP/1.1\r\n\r\n", 18);
    test_expect_error(garbage, 0, HXFR_E_INVALID);
    test_expect_end(garbage);

    static const HxfrHeader oversized[] = {
        {HXFR_FRAME_REQUEST, HXFR_FLAG_PIXELS, 4, 44 + HXFR_PIXELS_MAX + 1},
        {HXFR_FRAME_REQUEST, 0, 4, 45},
        {HXFR_FRAME_REQUEST, HXFR_FLAG_PIXELS, 4, 43},
        {HXFR_PING, 0, 4, 1},
        {HXFR_CONFIG_REQ, 0, 4, 0xffffffff},
        {0x66, 0, 4, HXFR_UNKNOWN_PAYLOAD_MAX + 1},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(oversized); i++) {
        hx_autofd int fd = test_connect(service);
        hxfr_encode_header(bytes, &oversized[i]);
        test_send(fd, bytes, HXFR_HEADER_SIZE);
        test_expect_error(fd, 4, HXFR_E_INVALID);
        test_expect_end(fd);
    }
    /* Half a header, half a payload, and then the end. */
    for (size_t size = 1; size < sizeof bytes; size += 11) {
        hx_autofd int fd = test_connect(service);
        HxfrFrameRequest request = request_of(HXFR_FORMAT_XR24, 8, 8, 32);
        hxfr_encode_frame_request(bytes, 4, 0, &request, 0);
        test_send(fd, bytes, size);
        shutdown(fd, SHUT_WR);
        test_expect_end(fd);
    }
    test_send_ping(bystander, 1);
    test_expect_pong(bystander, 1);
}

/* A claim takes no memory. */
static void test_claims(TestService *service, const void *data)
{
    int fds[8];
    guint8 bytes[HXFR_FRAME_REQUEST_SIZE];
    HxfrFrameRequest request = request_of(HXFR_FORMAT_XR24, 4096, 4096, 16384);
    gint64 before = resident_kib(service->pid);
    hxfr_encode_frame_request(bytes, 0, HXFR_FLAG_PIXELS, &request, HXFR_PIXELS_MAX);
    for (size_t i = 0; i < G_N_ELEMENTS(fds); i++) {
        fds[i] = test_connect(service);
        test_send(fds[i], bytes, sizeof bytes);
    }
    hx_autofd int other = test_connect(service);
    request = request_of(HXFR_FORMAT_XR24, 64, 64, 256);
    test_send_pattern(other, 0, 0, &request, 0);
    g_assert_true(test_expect_frame(other, 0, NULL).is_keyframe);
    g_assert_cmpint(resident_kib(service->pid) - before, <, 32 * 1024);
    for (size_t i = 0; i < G_N_ELEMENTS(fds); i++)
        close(fds[i]);
}

static void *stream_in_thread(void *data)
{
    TestService *service = data;
    hx_autofd int fd = test_connect(service);
    g_autoptr(GByteArray) stream = g_byte_array_new();
    HxfrFrameRequest request = request_of(HXFR_FORMAT_XR24, 320, 200, 1280);
    for (guint frame = 0; frame < 20; frame++) {
        test_send_pattern(fd, 1, 0, &request, frame);
        test_expect_frame(fd, 1, stream);
    }
    test_decode_and_compare(stream, 320, 200, 20);
    return NULL;
}

/* Several at once, each its own picture; and a limit. */
static void test_sessions(TestService *service, const void *data)
{
    GThread *threads[3];
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
        threads[i] = g_thread_new("client", stream_in_thread, service);
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
        g_thread_join(threads[i]);

    /* Two in turn on one connection. */
    hx_autofd int fd = test_connect(service);
    g_autoptr(GByteArray) left = g_byte_array_new();
    g_autoptr(GByteArray) right = g_byte_array_new();
    HxfrFrameRequest small = request_of(HXFR_FORMAT_XR24, 160, 120, 640);
    HxfrFrameRequest large = request_of(HXFR_FORMAT_XB24, 320, 240, 1280);
    for (guint frame = 0; frame < 4; frame++) {
        test_send_pattern(fd, 1, 0, &small, frame);
        test_expect_frame(fd, 1, left);
        test_send_pattern(fd, 2, 0, &large, frame);
        test_expect_frame(fd, 2, right);
    }
    test_decode_and_compare(left, 160, 120, 4);
    test_decode_and_compare(right, 320, 240, 4);
    for (guint16 id = 3; id <= 8; id++) {
        test_send_pattern(fd, id, 0, &small, 0);
        test_expect_frame(fd, id, NULL);
    }
    test_send_pattern(fd, 9, 0, &small, 0);
    test_expect_error(fd, 9, HXFR_E_INTERNAL);
    test_send_pattern(fd, 8, 0, &small, 0);
    test_expect_frame(fd, 8, NULL);
}

/* Requests that do not wait for their answers are answered in order. */
static void test_pipelined(TestService *service, const void *data)
{
    hx_autofd int fd = test_connect(service);
    HxfrFrameRequest request = request_of(HXFR_FORMAT_XR24, 64, 48, 256);
    for (guint i = 0; i < 20; i++) {
        request.pts = i;
        test_send_pattern(fd, 1, 0, &request, i);
        test_send_ping(fd, (guint16)(100 + i));
    }
    shutdown(fd, SHUT_WR);
    for (guint i = 0; i < 20; i++) {
        g_assert_cmpint(test_expect_frame(fd, 1, NULL).pts, ==, i);
        test_expect_pong(fd, (guint16)(100 + i));
    }
    test_expect_end(fd);
}

/* Fill 16 × 16 pixels of @pixels, of 640 in a line, at place @n with @colour. */
static void draw_square(guint8 *pixels, guint n, guint8 colour)
{
    for (guint y = 0; y < 16; y++)
        memset(pixels + ((gsize)(100 + y) * 640 + 32 * n) * 4, colour, 64);
}

static guint ask_still(int fd, const HxfrFrameRequest *request, const guint8 *pixels, guint times)
{
    const gsize size = 640 * 360 * 4;
    guint8 bytes[HXFR_FRAME_REQUEST_SIZE];
    guint coded = 0;
    hxfr_encode_frame_request(bytes, 1, HXFR_FLAG_PIXELS | HXFR_FLAG_MAY_BE_EMPTY, request, size);
    for (guint i = 0; i < times; i++) {
        test_send(fd, bytes, sizeof bytes);
        test_send(fd, pixels, size);
        coded += test_expect_frame(fd, 1, NULL).nal_count;
    }
    return coded;
}

/* A large change is refined until it is good, a small one on a good picture is coded once. */
static void test_refinement(TestService *service, const void *data)
{
    hx_autofd int fd = test_connect(service);
    HxfrFrameRequest request = request_of(HXFR_FORMAT_XR24, 640, 360, 2560);
    gsize size;
    g_autofree guint8 *pixels = test_pattern_pixels(HXFR_FORMAT_XR24, 640, 360, 2560, 0, &size);
    for (gsize i = 0; i < size; i++)
        pixels[i] ^= (guint8)g_test_rand_int_range(0, 64);
    g_assert_cmpuint(ask_still(fd, &request, pixels, 200), >, 5);
    g_assert_cmpuint(ask_still(fd, &request, pixels, 5), ==, 0);
    for (guint n = 0; n < 5; n++) {
        draw_square(pixels, n, (guint8)(40 * n));
        g_assert_cmpuint(ask_still(fd, &request, pixels, 4), ==, 1);
    }
    /* Another frame rate is no other picture; its stream begins with the next keyframe. */
    guint8 bytes[HXFR_CONFIG_REQ_SIZE];
    hxfr_encode_config_req(bytes, 1, &(HxfrConfigReq){.fps_num = 60, .fps_den = 1});
    test_send(fd, bytes, sizeof bytes);
    g_assert_cmpuint(ask_still(fd, &request, pixels, 4), ==, 0);
    request.force_keyframe = true;
    g_assert_cmpuint(ask_still(fd, &request, pixels, 1), ==, 1);
    request.force_keyframe = false;
    g_assert_cmpuint(ask_still(fd, &request, pixels, 3), ==, 3);
}

/* Another encoder behind the same interface. */
static void test_null(TestService *service, const void *data)
{
    hx_autofd int fd = test_connect(service);
    HxfrFrameRequest request = request_of(HXFR_FORMAT_XR24, 320, 240, 1280);
    for (guint i = 0; i < 8; i++) {
        request.pts = i;
        test_send_pattern(fd, 1, 0, &request, i);
        HxfrFrameResponse response = test_expect_frame(fd, 1, NULL);
        g_assert_cmpint(response.pts, ==, i);
        g_assert_cmpint(response.is_keyframe, ==, i % 3 == 0);
    }
    g_autoptr(JsonNode) root = test_service_statistics(service);
    JsonArray *sessions = json_object_get_array_member(json_node_get_object(root), "sessions");
    JsonObject *session = json_array_get_object_element(sessions, 0);
    g_assert_cmpstr(json_object_get_string_member(session, "encoder"), ==, "null");
    g_assert_true(json_object_get_null_member(session, "encoder_reason"));
}

/* With the flag, and only with it, an unchanged picture ends up as an empty answer. */
static void test_unchanged(TestService *service, const void *data)
{
    hx_autofd int fd = test_connect(service);
    HxfrFrameRequest request = request_of(HXFR_FORMAT_XR24, 320, 240, 1280);
    guint empty = 0;
    for (guint i = 0; i < 20; i++) {
        request.pts = i;
        test_send_pattern(fd, 1, HXFR_FLAG_MAY_BE_EMPTY, &request, 0);
        HxfrFrameResponse response = test_expect_frame(fd, 1, NULL);
        g_assert_cmpint(response.pts, ==, i);
        empty += response.nal_count == 0;
    }
    g_assert_cmpuint(empty, >=, 10);
    g_assert_cmpuint(empty, <, 19);
    test_send_pattern(fd, 1, 0, &request, 0);
    g_assert_cmpuint(test_expect_frame(fd, 1, NULL).nal_count, ==, 1);
    test_send_pattern(fd, 1, HXFR_FLAG_MAY_BE_EMPTY, &request, 1);
    g_assert_cmpuint(test_expect_frame(fd, 1, NULL).nal_count, ==, 1);
    for (guint i = 0; i < 10; i++) {
        test_send_pattern(fd, 1, HXFR_FLAG_MAY_BE_EMPTY, &request, 1);
        test_expect_frame(fd, 1, NULL);
    }
    request.force_keyframe = true;
    test_send_pattern(fd, 1, HXFR_FLAG_MAY_BE_EMPTY, &request, 1);
    g_assert_true(test_expect_frame(fd, 1, NULL).is_keyframe);
}

/* A client that is there, in the middle of a message, does not hold up the end. */
static void test_termination(TestService *service, const void *data)
{
    hx_autofd int idle = test_connect(service);
    hx_autofd int half = test_connect(service);
    HxfrFrameRequest request = request_of(HXFR_FORMAT_XR24, 64, 64, 256);
    test_send_pattern(idle, 1, 0, &request, 0);
    test_expect_frame(idle, 1, NULL);
    guint8 bytes[HXFR_FRAME_REQUEST_SIZE];
    hxfr_encode_frame_request(bytes, 1, HXFR_FLAG_PIXELS, &request, 64 * 256);
    test_send(half, bytes, sizeof bytes);
    gint64 start = g_get_monotonic_time();
    test_service_stop(service);
    g_assert_cmpint(g_get_monotonic_time() - start, <, 2 * G_TIME_SPAN_SECOND);
    test_expect_end(idle);
    test_service_start(service, NULL); /* for test_service_tear_down() */
}

static void test_usage(void)
{
    static const char *const bad[][3] = {
        {NULL},
        {"--listen-fd=zero"},
        {"--listen-fd=99"},
        {"--listen-fd=2"},
        {"--listen-fd=2", "--preset=warp"},
        {"--listen-fd=2", "--encoder=warp"},
        {"--listen-fd=2", "--bitrate=0"},
        {"--listen-fd=2", "--max-sessions=1000"},
        {"--unknown"},
    };
    g_autofree char *program =
        g_build_filename(g_getenv("BUILD") ?: "build", "helixvm-encoder", NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        const char *argv[] = {program, bad[i][0], bad[i][1], NULL};
        int status;
        g_autofree char *text = NULL;
        g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, NULL,
                                   &text, &status, NULL));
        g_assert_true(WIFEXITED(status));
        g_assert_cmpint(WEXITSTATUS(status), ==, 2);
        g_assert_nonnull(strstr(text, "error: "));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, options, function)                                                               \
    g_test_add("/service/" name, TestService, options, test_service_set_up, function,              \
               test_service_tear_down)
    ADD("pixels", GOOD, test_pixels);
    ADD("keyframes", GOOD, test_keyframes);
    ADD("config", NULL, test_config);
    ADD("bad-requests", NULL, test_bad_requests);
    ADD("broken-streams", NULL, test_broken_streams);
    ADD("claims", NULL, test_claims);
    ADD("sessions", GOOD, test_sessions);
    ADD("pipelined", NULL, test_pipelined);
    ADD("unchanged", NULL, test_unchanged);
    ADD("refinement", NULL, test_refinement);
    ADD("null", NO_ENCODER, test_null);
    ADD("termination", NULL, test_termination);
    g_test_add_func("/service/usage", test_usage);
    return g_test_run();
}
