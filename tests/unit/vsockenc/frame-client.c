/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guest-provision/vsockenc/frame-client.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The service's end is played by the test: what it is to say is written before it is read. */
typedef struct {
    HxFrameClient *client;
    GCancellable *cancellable;
    int service;
} Fixture;

static void set_up(Fixture *fixture, gconstpointer data)
{
    int fds[2];
    g_autoptr(GError) error = NULL;
    g_assert_no_errno(socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
    fixture->cancellable = g_cancellable_new();
    fixture->service = fds[1];
    fixture->client = hx_frame_client_new_for_fd(fds[0], 200, fixture->cancellable, &error);
    g_assert_no_error(error);
}

static void tear_down(Fixture *fixture, gconstpointer data)
{
    hx_frame_client_free(fixture->client);
    g_object_unref(fixture->cancellable);
    if (fixture->service >= 0)
        close(fixture->service);
}

static void say(Fixture *fixture, const void *data, gsize size)
{
    g_assert_cmpint(send(fixture->service, data, size, MSG_NOSIGNAL), ==, (gssize)size);
}

static void hear(Fixture *fixture, void *data, gsize size)
{
    g_assert_cmpint(recv(fixture->service, data, size, MSG_WAITALL), ==, (gssize)size);
}

static void say_frame(Fixture *fixture, gint64 pts, const char *unit)
{
    guint8 buffer[HXFR_FRAME_RESPONSE_ONE_SIZE];
    HxfrFrameResponse response = {.pts = pts, .dts = pts, .is_keyframe = true, .nal_count = 1};
    hxfr_encode_frame_response(buffer, 0, &response, (guint32)strlen(unit));
    say(fixture, buffer, sizeof buffer);
    say(fixture, unit, strlen(unit));
}

static void test_request(Fixture *fixture, gconstpointer data)
{
    HxfrFrameRequest request = {.resource_id = 7,
                                .width = 1280,
                                .height = 720,
                                .format = HXFR_FORMAT_XR24,
                                .stride = 5120,
                                .pts = 33,
                                .duration = 11,
                                .force_keyframe = true};
    g_autoptr(GError) error = NULL;
    g_assert_true(hx_frame_client_send(fixture->client, &request, NULL, &error));
    g_assert_no_error(error);
    guint8 heard[HXFR_FRAME_REQUEST_SIZE];
    hear(fixture, heard, sizeof heard);
    static const guint8 expected[HXFR_FRAME_REQUEST_SIZE] = {
        'H', 'X', 'F', 'R', 1, 2,    0, 0, 44,   0, 0, 0,             /* header */
        7,   0,   0,   0,   0, 5,    0, 0, 0xd0, 2, 0, 0,             /* id, width, height */
        'X', 'R', '2', '4', 0, 0x14, 0, 0,                            /* format, stride */
        33,  0,   0,   0,   0, 0,    0, 0, 11,   0, 0, 0, 0, 0, 0, 0, /* pts, duration */
        1};
    g_assert_cmpmem(heard, sizeof heard, expected, sizeof expected);
}

static void test_pixels(Fixture *fixture, gconstpointer data)
{
    HxfrFrameRequest request = {.width = 2, .height = 2, .format = HXFR_FORMAT_NV12, .stride = 2};
    HxFramePixels pixels = {{(const guint8 *)"yyyy", (const guint8 *)"uv"}, {4, 2}};
    g_assert_true(hx_frame_client_send(fixture->client, &request, &pixels, NULL));
    guint8 heard[HXFR_FRAME_REQUEST_SIZE + 6];
    hear(fixture, heard, sizeof heard);
    g_assert_cmpint(heard[5], ==, HXFR_FLAG_PIXELS | HXFR_FLAG_MAY_BE_EMPTY);
    g_assert_cmpuint(hxfr_get32(heard + 8), ==, 44 + 6);
    g_assert_cmpmem(heard + HXFR_FRAME_REQUEST_SIZE, 6, "yyyyuv", 6);
}

static void test_answer(Fixture *fixture, gconstpointer data)
{
    static const guint8 config_response[] = {'H', 'X', 'F', 'R', 5, 0, 0, 0, 2, 0, 0, 0, 1, 2};
    say(fixture, config_response, sizeof config_response); /* to be read over */
    say_frame(fixture, 33, "unit");
    g_auto(HxFrameAnswer) answer = {0};
    g_autoptr(GError) error = NULL;
    g_assert_true(hx_frame_client_receive(fixture->client, 33, &answer, &error));
    g_assert_no_error(error);
    g_assert_true(answer.is_keyframe);
    g_assert_cmpint(answer.error, ==, 0);
    g_assert_cmpmem(g_bytes_get_data(answer.unit, NULL), g_bytes_get_size(answer.unit), "unit", 4);
}

/* A service may send its NAL units apart. */
static void test_answer_in_pieces(Fixture *fixture, gconstpointer data)
{
    static const guint8 message[] = {'H', 'X', 'F', 'R', 2,   0,   0, 0, 24 + 4 + 2 + 4 + 1,
                                     0,   0,   0,   9,   0,   0,   0, 0, 0,
                                     0,   0,   9,   0,   0,   0,   0, 0, 0,
                                     0,   0,   0,   0,   0,   2,   0, 0, 0,
                                     2,   0,   0,   0,   'a', 'b', 1, 0, 0,
                                     0,   'c'};
    say(fixture, message, sizeof message);
    g_auto(HxFrameAnswer) answer = {0};
    g_autoptr(GError) error = NULL;
    g_assert_true(hx_frame_client_receive(fixture->client, 9, &answer, &error));
    g_assert_no_error(error);
    g_assert_false(answer.is_keyframe);
    g_assert_cmpmem(g_bytes_get_data(answer.unit, NULL), g_bytes_get_size(answer.unit), "abc", 3);
}

/* The picture is the last one. */
static void test_empty_answer(Fixture *fixture, gconstpointer data)
{
    static const guint8 message[] = {'H', 'X', 'F', 'R', 2, 0, 0, 0, 24, 0, 0, 0, 9, 0, 0, 0, 0, 0,
                                     0,   0,   9,   0,   0, 0, 0, 0, 0,  0, 0, 0, 0, 0, 0, 0, 0, 0};
    say(fixture, message, sizeof message);
    g_auto(HxFrameAnswer) answer = {0};
    g_autoptr(GError) error = NULL;
    g_assert_true(hx_frame_client_receive(fixture->client, 9, &answer, &error));
    g_assert_no_error(error);
    g_assert_null(answer.unit);
    g_assert_cmpint(answer.error, ==, 0);
    g_assert_cmpint(answer.pts, ==, 9);
}

static void test_error(Fixture *fixture, gconstpointer data)
{
    guint8 buffer[HXFR_ERROR_SIZE];
    hxfr_encode_error(buffer, 0, HXFR_E_UNREADABLE, "no \xff module");
    say(fixture, buffer, sizeof buffer);
    g_auto(HxFrameAnswer) answer = {0};
    g_assert_true(hx_frame_client_receive(fixture->client, 1, &answer, NULL));
    g_assert_cmpint(answer.error, ==, HXFR_E_UNREADABLE);
    g_assert_cmpstr(answer.error_text, ==, "no \xef\xbf\xbd module");
    g_assert_null(answer.unit);
}

static void assert_receive_fails(Fixture *fixture, int code)
{
    g_auto(HxFrameAnswer) answer = {0};
    g_autoptr(GError) error = NULL;
    g_assert_false(hx_frame_client_receive(fixture->client, 1, &answer, &error));
    g_assert_error(error, G_IO_ERROR, code);
    g_assert_null(answer.unit);
    g_assert_null(answer.error_text);
}

static void test_other_answer(Fixture *fixture, gconstpointer data)
{
    say_frame(fixture, 2, "unit");
    assert_receive_fails(fixture, G_IO_ERROR_INVALID_DATA);
}

static void test_garbage(Fixture *fixture, gconstpointer data)
{
    say(fixture, "HTTP/1.1 200 OK\r\n", 17);
    assert_receive_fails(fixture, G_IO_ERROR_INVALID_DATA);
}

static void test_lying_sizes(Fixture *fixture, gconstpointer data)
{
    guint8 buffer[HXFR_FRAME_RESPONSE_ONE_SIZE];
    HxfrFrameResponse response = {.pts = 1};
    hxfr_encode_frame_response(buffer, 0, &response, 4);
    hxfr_put32(buffer + 36, 5); /* the piece claims more than the message has */
    say(fixture, buffer, sizeof buffer);
    say(fixture, "unit", 4);
    assert_receive_fails(fixture, G_IO_ERROR_INVALID_DATA);
}

static void test_huge(Fixture *fixture, gconstpointer data)
{
    static const guint8 header[] = {'H', 'X', 'F', 'R', 2, 0, 0, 0, 0xff, 0xff, 0xff, 0xff};
    say(fixture, header, sizeof header);
    assert_receive_fails(fixture, G_IO_ERROR_INVALID_DATA);
}

static void test_closed(Fixture *fixture, gconstpointer data)
{
    say(fixture, "HXFR", 4);
    close(fixture->service);
    fixture->service = -1;
    assert_receive_fails(fixture, G_IO_ERROR_CONNECTION_CLOSED);
}

/* Half a message is no reason to wait for longer. */
static void test_timeout(Fixture *fixture, gconstpointer data)
{
    gint64 started = g_get_monotonic_time();
    say(fixture, "HXFR", 4);
    assert_receive_fails(fixture, G_IO_ERROR_TIMED_OUT);
    gint64 took = g_get_monotonic_time() - started;
    g_assert_cmpint(took, >=, 200 * 1000);
    g_assert_cmpint(took, <, 5 * G_USEC_PER_SEC);
}

static void test_full(Fixture *fixture, gconstpointer data)
{
    gsize size = 8 * 1024 * 1024;
    g_autofree guint8 *plane = g_malloc0(size);
    HxfrFrameRequest request = {.width = 2048, .height = 1024, .format = HXFR_FORMAT_XR24};
    HxFramePixels pixels = {{plane}, {size}};
    g_autoptr(GError) error = NULL;
    g_assert_false(hx_frame_client_send(fixture->client, &request, &pixels, &error));
    g_assert_error(error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
}

static void test_cancelled(Fixture *fixture, gconstpointer data)
{
    g_cancellable_cancel(fixture->cancellable);
    assert_receive_fails(fixture, G_IO_ERROR_CANCELLED);
}

static void test_ping(Fixture *fixture, gconstpointer data)
{
    guint8 pong[HXFR_HEADER_SIZE], heard[HXFR_HEADER_SIZE];
    static const guint8 ping[HXFR_HEADER_SIZE] = {'H', 'X', 'F', 'R', 0x10};
    g_autoptr(GError) error = NULL;
    hxfr_encode_empty(pong, HXFR_PONG, 0);
    say(fixture, pong, sizeof pong);
    g_assert_true(hx_frame_client_ping(fixture->client, &error));
    g_assert_no_error(error);
    hear(fixture, heard, sizeof heard);
    g_assert_cmpmem(heard, sizeof heard, ping, sizeof ping);
    /* Nobody answers the second. */
    g_assert_false(hx_frame_client_ping(fixture->client, &error));
    g_assert_error(error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
}

static void test_no_service(void)
{
    g_autoptr(GError) error = NULL;
    HxFrameAddress address = {.path = "/nonexistent/socket"};
    g_assert_null(hx_frame_client_connect(&address, 200, NULL, &error));
    g_assert_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND);
    g_assert_nonnull(strstr(error->message, "/nonexistent/socket"));
}

#define ADD(name, function)                                                                        \
    g_test_add("/frame-client/" name, Fixture, NULL, set_up, function, tear_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("request", test_request);
    ADD("pixels", test_pixels);
    ADD("answer", test_answer);
    ADD("answer-in-pieces", test_answer_in_pieces);
    ADD("empty-answer", test_empty_answer);
    ADD("error", test_error);
    ADD("other-answer", test_other_answer);
    ADD("garbage", test_garbage);
    ADD("lying-sizes", test_lying_sizes);
    ADD("huge", test_huge);
    ADD("closed", test_closed);
    ADD("timeout", test_timeout);
    ADD("full", test_full);
    ADD("cancelled", test_cancelled);
    ADD("ping", test_ping);
    g_test_add_func("/frame-client/no-service", test_no_service);
    return g_test_run();
}
