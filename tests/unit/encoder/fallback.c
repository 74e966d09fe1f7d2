/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Encoders in order: the next one takes what one before it cannot. */
#include <errno.h>
#include <glib.h>
#include <string.h>
#include <unistd.h>

#include "encoder/service/encoder.h"
#include "encoder/service/session.h"
#include "launcher/base/fd.h"
#include "tests/fakes/encoder-client.h"

/* ITU-T H.264 table A-1: 139264 macroblocks are the most that a level allows. */
#define WIDTH 8192
#define HEIGHT_MAX 4352

static const char *const IN_ORDER[] = {"--encoder=x264", "--encoder=null", NULL};

/* A grey frame of NV12; whether it came back as a keyframe, or with an ERROR. */
static HxfrType ask(int fd, guint16 session_id, guint32 width, guint32 height,
                    gboolean *ret_keyframe)
{
    const HxfrFrameRequest request = {
        .width = width, .height = height, .format = HXFR_FORMAT_NV12, .stride = width, .pts = 7};
    gsize size = hxfr_pixels_size(request.format, width, height, width);
    g_autofree guint8 *pixels = g_malloc(size);
    memset(pixels, 0x80, size);
    guint8 bytes[HXFR_FRAME_REQUEST_SIZE];
    hxfr_encode_frame_request(bytes, session_id, HXFR_FLAG_PIXELS, &request, (guint32)size);
    test_send(fd, bytes, sizeof bytes);
    test_send(fd, pixels, size);
    g_auto(TestMessage) message = test_receive(fd);
    HxfrFrameResponse response = {0};
    if (message.header.type == HXFR_FRAME_RESPONSE)
        g_assert_cmpint(
            hxfr_decode_frame_response(message.payload, message.header.payload_size, &response), ==,
            0);
    if (ret_keyframe)
        *ret_keyframe = response.is_keyframe;
    return message.header.type;
}

static void assert_in_use(TestService *service, guint session, const char *encoder,
                          const char *reason)
{
    g_autoptr(JsonNode) root = test_service_statistics(service);
    JsonArray *sessions = json_object_get_array_member(json_node_get_object(root), "sessions");
    JsonObject *object = json_array_get_object_element(sessions, session);
    g_assert_cmpstr(json_object_get_string_member(object, "encoder"), ==, encoder);
    g_assert_cmpstr(json_object_get_string_member_with_default(object, "encoder_reason", NULL), ==,
                    reason);
}

static guint occurrences(const char *path, const char *text)
{
    g_autofree char *log = NULL;
    g_assert_true(g_file_get_contents(path, &log, NULL, NULL));
    guint n = 0;
    for (const char *at = log; (at = strstr(at, text)); at++)
        n++;
    return n;
}

/* A size that x264 refuses goes to the next in order, and only that; the log says it once. */
static void test_size(void)
{
    TestService service;
    gboolean keyframe;
    g_autofree char *log = NULL;
    hx_autofd int log_fd = g_file_open_tmp("hx-fallback-XXXXXX", &log, NULL);
    test_service_start_logging(&service, IN_ORDER, log);
    hx_autofd int fd = test_connect(&service);
    g_assert_cmphex(ask(fd, 1, 320, 240, NULL), ==, HXFR_FRAME_RESPONSE);
    assert_in_use(&service, 0, "x264", NULL);
    for (guint16 id = 1; id <= 2; id++) {
        g_assert_cmphex(ask(fd, id, WIDTH, HEIGHT_MAX + 2, &keyframe), ==, HXFR_FRAME_RESPONSE);
        g_assert_true(keyframe);
        assert_in_use(&service, id - 1, "null", "x264 takes no frames of 8192x4354");
    }
    g_assert_cmpuint(occurrences(log, "x264 takes no frames of 8192x4354"), ==, 1);
    g_assert_cmphex(ask(fd, 1, 320, 240, &keyframe), ==, HXFR_FRAME_RESPONSE);
    g_assert_true(keyframe);
    assert_in_use(&service, 0, "x264", NULL);
    assert_in_use(&service, 1, "null", "x264 takes no frames of 8192x4354");
    test_service_stop(&service);
    g_assert_cmpint(unlink(log), ==, 0);
}

/* Where none is left, the request has its ERROR, and the session goes on; the largest is encoded.
 */
static void test_alone(void)
{
    TestService service;
    test_service_start(&service, NULL);
    hx_autofd int fd = test_connect(&service);
    g_assert_cmphex(ask(fd, 1, WIDTH, HEIGHT_MAX + 2, NULL), ==, HXFR_ERROR);
    g_assert_cmphex(ask(fd, 1, WIDTH, HEIGHT_MAX, NULL), ==, HXFR_FRAME_RESPONSE);
    assert_in_use(&service, 0, "x264", NULL);
    test_service_stop(&service);
}

static int open_nothing(const HxEncoderSettings *settings, HxEncoder **ret_encoder)
{
    return -ENODEV;
}

/* An encoder that this machine has not. */
static void test_absent(void)
{
    static const HxEncoderClass absent = {.name = "absent", .open = open_nothing};
    const HxEncoderClass *const order[] = {&absent, &hx_encoder_null, NULL};
    const HxEncoderSettings settings = {.width = 64, .height = 64, .keyframe_interval = 1};
    const HxEncoderClass *class = NULL;
    HxEncoder *encoder = NULL;
    char reason[HX_ENCODER_REASON_SIZE];
    g_assert_cmpint(hx_encoder_open(order, &settings, &class, &encoder, reason), ==, 0);
    g_assert_true(class == &hx_encoder_null);
    class->close(encoder);
    g_assert_cmpstr(reason, ==, "absent cannot be had: No such device");
    g_assert_cmpint(hx_encoder_open(&order[2], &settings, &class, &encoder, reason), ==, -ENODEV);
}

/* --- an encoder that fails in the middle of a stream ---------------------------------------------
 * x264, which encodes no more than so many pictures each time that it is opened. */

static guint encodes, opened, left_to_encode;

static int open_breaking(const HxEncoderSettings *settings, HxEncoder **ret_encoder)
{
    opened++;
    left_to_encode = encodes;
    return hx_encoder_x264.open(settings, ret_encoder);
}

static int encode_or_break(HxEncoder *encoder, const HxPicture *picture, bool force_keyframe,
                           HxAccessUnit *ret_unit)
{
    if (left_to_encode == 0)
        return -EIO;
    left_to_encode--;
    return hx_encoder_x264.encode(encoder, picture, force_keyframe, ret_unit);
}

static void close_breaking(HxEncoder *encoder)
{
    hx_encoder_x264.close(encoder);
}

static const HxEncoderClass breaking = {
    .name = "breaking",
    .open = open_breaking,
    .encode = encode_or_break,
    .close = close_breaking,
};

static HxSession *new_session(const HxEncoderClass *const *order, guint pictures)
{
    const HxEncoderSettings settings = {.bitrate = 1000000,
                                        .fps_num = 30,
                                        .fps_den = 1,
                                        .keyframe_interval = 300,
                                        .threads = 1,
                                        .preset = "ultrafast"};
    encodes = pictures;
    opened = 0;
    return hx_session_new(1, order, &settings);
}

/* What the session makes of the same grey picture once more. */
static int encode_grey(HxSession *session, guint32 size, HxAccessUnit *ret_unit)
{
    HxPicture picture = {0};
    g_autofree guint8 *pixels = g_malloc(hxfr_pixels_size(HXFR_FORMAT_NV12, size, size, size));
    memset(pixels, 0x80, hxfr_pixels_size(HXFR_FORMAT_NV12, size, size, size));
    g_assert_cmpint(hx_picture_convert(&picture, HXFR_FORMAT_NV12, pixels, size, size, size), ==,
                    0);
    int r = hx_session_encode(session, &picture, FALSE, TRUE, ret_unit);
    hx_picture_clear(&picture);
    return r;
}

static void assert_keyframe(const HxAccessUnit *unit, gboolean expected)
{
    static const guint8 sps[] = {0, 0, 0, 1, 0x67};
    g_assert_cmpuint(unit->size, >, sizeof sps);
    g_assert_true(unit->is_keyframe == expected);
    g_assert_true((memcmp(unit->data, sps, sizeof sps) == 0) == expected);
}

static void assert_described(HxSession *session, const char *encoder, const char *reason)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();
    json_builder_begin_object(builder);
    hx_session_describe(session, builder);
    json_builder_end_object(builder);
    g_autoptr(JsonNode) root = json_builder_get_root(builder);
    JsonObject *object = json_node_get_object(root);
    g_assert_cmpstr(json_object_get_string_member(object, "encoder"), ==, encoder);
    g_assert_cmpstr(json_object_get_string_member_with_default(object, "encoder_reason", NULL), ==,
                    reason);
}

/* The next in order takes the very picture, as a keyframe, and those after it, until another size
 * is a new chance for the first. */
static void test_failing(void)
{
    const HxEncoderClass *const order[] = {&breaking, &hx_encoder_x264, NULL};
    HxSession *session = new_session(order, 2);
    HxAccessUnit unit;
    for (guint i = 0; i < 5; i++) {
        g_assert_cmpint(encode_grey(session, 64, &unit), ==, 0);
        assert_keyframe(&unit, i == 0 || i == 2);
        assert_described(session, i < 2 ? "breaking" : "x264",
                         i < 2 ? NULL : "breaking failed: Input/output error");
    }
    g_assert_cmpuint(opened, ==, 1);
    g_assert_cmpint(encode_grey(session, 128, &unit), ==, 0);
    assert_keyframe(&unit, TRUE);
    assert_described(session, "breaking", NULL);
    g_assert_cmpuint(opened, ==, 2);
    hx_session_free(session);
}

/* The only one: the picture at which it fails has its error, the next one is a keyframe. */
static void test_failing_alone(void)
{
    const HxEncoderClass *const order[] = {&breaking, NULL};
    HxSession *session = new_session(order, 2);
    HxAccessUnit unit;
    for (guint i = 0; i < 6; i++) {
        g_assert_cmpint(encode_grey(session, 64, &unit), ==, i % 3 == 2 ? -EIO : 0);
        if (i % 3 < 2)
            assert_keyframe(&unit, i % 3 == 0);
    }
    g_assert_cmpuint(opened, ==, 2);
    hx_session_free(session);
}

/* Those that never encode a picture are opened again after a while, and not for each picture. */
static void test_failing_always(void)
{
    const HxEncoderClass *const order[] = {&breaking, &breaking, NULL};
    HxSession *session = new_session(order, 0);
    HxAccessUnit unit;
    for (guint i = 0; i < 100; i++)
        g_assert_cmpint(encode_grey(session, 64, &unit), ==, -EIO);
    g_assert_cmpuint(opened, <, 100);
    encodes = 1;
    while (encode_grey(session, 64, &unit) < 0)
        g_usleep(10000);
    assert_keyframe(&unit, TRUE);
    assert_described(session, "breaking", NULL);
    hx_session_free(session);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/fallback/size", test_size);
    g_test_add_func("/fallback/alone", test_alone);
    g_test_add_func("/fallback/absent", test_absent);
    g_test_add_func("/fallback/failing", test_failing);
    g_test_add_func("/fallback/failing-alone", test_failing_alone);
    g_test_add_func("/fallback/failing-always", test_failing_always);
    return g_test_run();
}
