/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Encoders in order: the next one takes what one before it cannot. */
#include <errno.h>
#include <glib.h>
#include <string.h>
#include <unistd.h>

#include "encoder/service/encoder.h"
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

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/fallback/size", test_size);
    g_test_add_func("/fallback/alone", test_alone);
    g_test_add_func("/fallback/absent", test_absent);
    return g_test_run();
}
