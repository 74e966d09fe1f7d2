/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What helixvm-encoder tells of its clients: its statistics, and its log. */
#include <glib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "launcher/base/fd.h"
#include "tests/fakes/encoder-client.h"

static HxfrFrameRequest request_of(guint32 format, guint32 width, guint32 height, guint32 stride)
{
    return (HxfrFrameRequest){
        .width = width, .height = height, .format = format, .stride = stride, .pts = 1};
}

/* --- statistics ---------------------------------------------------------------------------------
 */

static void test_statistics(TestService *service, const void *data)
{
    hx_autofd int fd = test_connect(service);
    HxfrFrameRequest request = request_of(HXFR_FORMAT_XR24, 320, 240, 1280);
    g_autoptr(GByteArray) stream = g_byte_array_new();
    for (guint i = 0; i < 5; i++) {
        test_send_pattern(fd, 77, 0, &request, i);
        test_expect_frame(fd, 77, stream);
    }
    guint8 bytes[HXFR_FRAME_REQUEST_SIZE];
    hxfr_encode_frame_request(bytes, 77, 0, &request, 0);
    test_send(fd, bytes, sizeof bytes);
    test_expect_error(fd, 77, HXFR_E_UNREADABLE);

    g_autoptr(JsonNode) root = test_service_statistics(service);
    JsonObject *all = json_node_get_object(root);
    JsonArray *encoders = json_object_get_array_member(all, "encoders");
    g_assert_cmpuint(json_array_get_length(encoders), ==, 1);
    g_assert_cmpstr(json_array_get_string_element(encoders, 0), ==, "x264");
    JsonObject *module = json_object_get_object_member(all, "module");
    g_assert_false(json_object_get_boolean_member(module, "connected"));
    g_assert_nonnull(strstr(json_object_get_string_member(module, "reason"), "No such file"));
    JsonArray *sessions = json_object_get_array_member(all, "sessions");
    g_assert_cmpuint(json_array_get_length(sessions), ==, 1);
    JsonObject *session = json_array_get_object_element(sessions, 0);
    g_assert_cmpint(json_object_get_int_member(session, "session_id"), ==, 77);
    g_assert_cmpstr(json_object_get_string_member(session, "encoder"), ==, "x264");
    g_assert_cmpint(json_object_get_int_member(session, "width"), ==, 320);
    g_assert_cmpint(json_object_get_int_member(session, "height"), ==, 240);
    g_assert_cmpint(json_object_get_int_member(session, "frames"), ==, 5);
    g_assert_cmpint(json_object_get_int_member(session, "keyframes"), >=, 1);
    g_assert_cmpint(json_object_get_int_member(session, "bytes"), ==, stream->len);
    g_assert_cmpint(json_object_get_int_member(session, "errors"), ==, 1);
    g_assert_cmpint(json_object_get_int_member(session, "dropped"), ==, 0);
    g_assert_cmpint(json_object_get_int_member(all, "dropped"), ==, 0);
    g_assert_cmpstr(json_object_get_string_member(session, "source"), ==, "pixels");
    g_assert_cmpint(json_object_get_int_member(session, "bitrate"), ==, 8000000);
    g_assert_cmpfloat(json_object_get_double_member(session, "fps"), >, 0);
    g_assert_cmpint(json_object_get_int_member(session, "bits_per_second"), >, 0);
    JsonObject *stages = json_object_get_object_member(session, "stage_ms");
    static const char *const names[] = {"read", "convert", "queue", "encode", "send"};
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        JsonObject *stage = json_object_get_object_member(stages, names[i]);
        double p50 = json_object_get_double_member(stage, "p50");
        double p99 = json_object_get_double_member(stage, "p99");
        g_assert_cmpfloat(p50, >=, 0);
        g_assert_cmpfloat(p99, >=, p50);
        g_assert_cmpfloat(p99, <, 20000);
    }
    JsonObject *encode = json_object_get_object_member(stages, "encode");
    g_assert_cmpfloat(json_object_get_double_member(encode, "p50"), >, 0);
}

static gint64 count_of(TestService *service, const char *name)
{
    g_autoptr(JsonNode) root = test_service_statistics(service);
    return json_object_get_int_member(json_node_get_object(root), name);
}

/* What a client asks for and does not take is counted, also when the client is gone. */
static void test_dropped(TestService *service, const void *data)
{
    const HxfrFrameRequest request = request_of(HXFR_FORMAT_XR24, 64, 64, 256);
    hx_autofd int stays = test_connect(service);
    for (guint clients = 1; clients <= 3; clients++) {
        hx_autofd int fd = test_connect(service);
        test_send_pattern(fd, 1, 0, &request, 0);
        test_expect_frame(fd, 1, NULL);
        g_assert_cmpint(shutdown(fd, SHUT_RD), ==, 0);
        test_send_pattern(fd, 1, 0, &request, 1);
        gint64 deadline = g_get_monotonic_time() + 20 * G_TIME_SPAN_SECOND;
        while (count_of(service, "connections") > 1)
            g_assert_cmpint(g_get_monotonic_time(), <, deadline);
        g_assert_cmpint(count_of(service, "dropped"), ==, clients);
    }
    test_send_pattern(stays, 1, 0, &request, 0);
    test_expect_frame(stays, 1, NULL);
}

/* Sessions of one number on two connections are two, each with its own name and figures. */
static void test_same_number(TestService *service, const void *data)
{
    int fds[2];
    const HxfrFrameRequest request = request_of(HXFR_FORMAT_XR24, 64, 64, 256);
    for (guint i = 0; i < 2; i++) {
        fds[i] = test_connect(service);
        for (guint frame = 0; frame <= i; frame++) {
            test_send_pattern(fds[i], 5, 0, &request, frame);
            g_assert_cmpint(test_expect_frame(fds[i], 5, NULL).is_keyframe, ==, frame == 0);
        }
        test_send_ping(fds[i], 5); /* by then the frame is counted */
        test_expect_pong(fds[i], 5);
    }
    g_autoptr(JsonNode) root = test_service_statistics(service);
    JsonArray *sessions = json_object_get_array_member(json_node_get_object(root), "sessions");
    g_assert_cmpuint(json_array_get_length(sessions), ==, 2);
    const char *names[2];
    for (guint i = 0; i < 2; i++) {
        JsonObject *session = json_array_get_object_element(sessions, i);
        g_assert_cmpint(json_object_get_int_member(session, "session_id"), ==, 5);
        g_assert_cmpint(json_object_get_int_member(session, "frames"), ==, i + 1);
        names[i] = json_object_get_string_member(session, "connection");
        close(fds[i]);
    }
    g_assert_cmpstr(names[0], !=, names[1]);
}

/* --- the log -------------------------------------------------------------------------------------
 */

static guint occurrences(const char *path, const char *text)
{
    g_autofree char *log = NULL;
    g_assert_true(g_file_get_contents(path, &log, NULL, NULL));
    g_auto(GStrv) parts = g_strsplit(log, text, -1);
    return g_strv_length(parts) - 1;
}

/* Refused by an answer of its own, with the scanout's number; the log says why. */
static void test_scanouts(void)
{
    static const struct {
        HxfrType type, answer;
        guint32 size;
    } cases[] = {
        {HXFR_ENABLE_SCANOUT, HXFR_SCANOUT_RESP, HXFR_ENABLE_SCANOUT_SIZE},
        {HXFR_DISABLE_SCANOUT, HXFR_SCANOUT_RESP, HXFR_DISABLE_SCANOUT_SIZE},
        {HXFR_SUBSCRIBE, HXFR_SUBSCRIBE_RESP, HXFR_SUBSCRIBE_SIZE},
    };
    TestService service;
    g_autofree char *path = NULL;
    hx_autofd int log = g_file_open_tmp("hx-scanouts-XXXXXX", &path, NULL);
    test_service_start_logging(&service, NULL, path);
    hx_autofd int fd = test_connect(&service);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        guint8 bytes[HXFR_ENABLE_SCANOUT_SIZE] = {0};
        const HxfrHeader header = {cases[i].type, 0, 2, cases[i].size - HXFR_HEADER_SIZE};
        hxfr_encode_header(bytes, &header);
        hxfr_put32(bytes + HXFR_HEADER_SIZE, 6);
        test_send(fd, bytes, cases[i].size);
        g_auto(TestMessage) answer = test_receive(fd);
        g_assert_cmphex(answer.header.type, ==, cases[i].answer);
        g_assert_cmpuint(answer.header.session_id, ==, 2);
        g_assert_cmpuint(hxfr_get32(answer.payload), ==, 6);
        g_assert_cmpuint(hxfr_get32(answer.payload + 4), ==, 0);
    }
    test_service_stop(&service);
    g_assert_cmpuint(occurrences(path, "asked for a scanout; the service has none"), ==,
                     G_N_ELEMENTS(cases));
    unlink(path);
}

/* Whoever is one too many is shut out at once, and the log says why; not without end. */
static void test_crowd(void)
{
    enum { SESSIONS = 2, SPARE = 8, MORE = 150 };
    static const char *const options[] = {"--max-sessions=2", NULL};
    TestService service;
    int fds[SESSIONS + SPARE];
    g_autofree char *path = NULL;
    hx_autofd int log = g_file_open_tmp("hx-crowd-XXXXXX", &path, NULL);
    test_service_start_logging(&service, options, path);
    for (guint i = 0; i < G_N_ELEMENTS(fds); i++) {
        fds[i] = test_connect(&service);
        test_send_ping(fds[i], (guint16)i);
        test_expect_pong(fds[i], (guint16)i);
    }
    for (guint i = 0; i < MORE; i++) {
        hx_autofd int fd = test_connect(&service);
        test_expect_end(fd);
    }
    for (guint i = 0; i < G_N_ELEMENTS(fds); i++) {
        test_send_ping(fds[i], 7);
        test_expect_pong(fds[i], 7);
        close(fds[i]);
    }
    test_service_stop(&service);
    g_assert_cmpuint(occurrences(path, "refused: too many connections"), ==, 100);
    g_assert_cmpuint(occurrences(path, "further complaints about clients are not logged"), ==, 1);
    unlink(path);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, function)                                                                        \
    g_test_add("/telling/" name, TestService, NULL, test_service_set_up, function,                 \
               test_service_tear_down)
    ADD("statistics", test_statistics);
    ADD("dropped", test_dropped);
    ADD("same-number", test_same_number);
    g_test_add_func("/telling/scanouts", test_scanouts);
    g_test_add_func("/telling/crowd", test_crowd);
    return g_test_run();
}
