/* SPDX-License-Identifier: GPL-2.0-or-later */
/* helixvm-encoder behind a serial port: clients that end within a message, and those after them. */
#include <glib.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "launcher/base/fd.h"
#include "tests/fakes/encoder-client.h"

#define WIDTH 64
#define HEIGHT 48
#define PIXELS ((gsize)WIDTH * HEIGHT * 4)

static const char *const FEW[] = {"--max-sessions=2", NULL};
static const HxfrFrameRequest REQUEST = {
    .width = WIDTH, .height = HEIGHT, .format = HXFR_FORMAT_XR24, .stride = WIDTH * 4};

/* A request with raw pixels, of which @sent bytes come. */
static void send_part(int fd, guint16 session_id, gsize sent)
{
    guint8 bytes[HXFR_FRAME_REQUEST_SIZE];
    g_autofree guint8 *pixels = g_malloc0(PIXELS);
    hxfr_encode_frame_request(bytes, session_id, HXFR_FLAG_PIXELS, &REQUEST, PIXELS);
    test_send(fd, bytes, sizeof bytes);
    test_send(fd, pixels, sent);
}

/* It is heard of before the client does anything more, and what is left of it does no harm. */
static void test_broken_off(TestService *service, const void *data)
{
    hx_autofd int fd = test_connect_serial(service);
    send_part(fd, 7, PIXELS / 2);
    test_expect_error(fd, 7, HXFR_E_INVALID);
    g_autofree guint8 *rest = g_malloc0(PIXELS / 2);
    test_send(fd, rest, PIXELS / 2);
    test_send_ping(fd, 9);
    test_expect_pong(fd, 9);
    test_send_pattern(fd, 7, 0, &REQUEST, 0);
    g_assert_true(test_expect_frame(fd, 7, NULL).is_keyframe);
}

/* Within the header, too. */
static void test_half_header(TestService *service, const void *data)
{
    hx_autofd int fd = test_connect_serial(service);
    test_send(fd, "HXFR\x10", 5);
    test_expect_error(fd, 0, HXFR_E_INVALID);
    test_send_ping(fd, 3);
    test_expect_pong(fd, 3);
}

/* One ERROR for all that is no message, however much like one it looks. */
static void test_garbage(TestService *service, const void *data)
{
    static const char garbage[] = "no message HXHXFHXFR\x10\0\0\0\xff\xff\xff\xff"
                                  "HXFR\x04\0\0\0\x01\0\0\0HXFRHXFRHX";
    hx_autofd int fd = test_connect_serial(service);
    test_send(fd, garbage, sizeof garbage - 1);
    test_send_ping(fd, 4);
    test_expect_error(fd, 0, HXFR_E_INVALID);
    test_expect_pong(fd, 4);
    /* Later garbage is another matter. */
    test_send(fd, garbage, sizeof garbage - 1);
    test_send_ping(fd, 5);
    test_expect_error(fd, 0, HXFR_E_INVALID);
    test_expect_pong(fd, 5);
}

static gboolean is_readable(int fd, int ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, ms) == 1;
}

/* The next client is there at once: its first PINGs go the way of the pixels that are owed. */
static void test_next_client(TestService *service, const void *data)
{
    hx_autofd int fd = test_connect_serial(service);
    send_part(fd, 1, PIXELS / 2);
    guint pings = 0;
    guint8 type = 0;
    while (type != HXFR_PONG) {
        g_assert_cmpuint(pings++, <, 10);
        test_send_ping(fd, 11);
        while (type != HXFR_PONG && is_readable(fd, 1000)) {
            g_auto(TestMessage) message = test_receive(fd);
            type = message.header.type;
        }
    }
    test_send_pattern(fd, 2, 0, &REQUEST, 0);
    g_autoptr(GByteArray) stream = g_byte_array_new();
    for (;;) {
        g_auto(TestMessage) message = test_receive(fd);
        if (message.header.type == HXFR_PONG)
            continue;
        g_assert_cmphex(message.header.type, ==, HXFR_FRAME_RESPONSE);
        break;
    }
}

/* Each client has sessions of its own; there is no end of a connection that ended the others. */
static void test_sessions(TestService *service, const void *data)
{
    hx_autofd int elsewhere = test_connect(service);
    test_send_pattern(elsewhere, 1, 0, &REQUEST, 0);
    test_expect_frame(elsewhere, 1, NULL);
    hx_autofd int fd = test_connect_serial(service);
    for (guint16 id = 1; id < 20; id++) {
        test_send_pattern(fd, id, 0, &REQUEST, 0);
        g_assert_true(test_expect_frame(fd, id, NULL).is_keyframe);
        test_send_pattern(fd, id, 0, &REQUEST, 1);
        g_assert_false(test_expect_frame(fd, id, NULL).is_keyframe);
    }
    /* The next client may call its session as the last one did. */
    test_send_ping(fd, 19);
    test_expect_pong(fd, 19);
    test_send_pattern(fd, 19, 0, &REQUEST, 1);
    g_assert_true(test_expect_frame(fd, 19, NULL).is_keyframe);
    test_send_pattern(elsewhere, 1, 0, &REQUEST, 1);
    g_assert_false(test_expect_frame(elsewhere, 1, NULL).is_keyframe);
    g_autoptr(JsonNode) root = test_service_statistics(service);
    JsonArray *sessions = json_object_get_array_member(json_node_get_object(root), "sessions");
    g_assert_cmpuint(json_array_get_length(sessions), ==, 2);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, options, function)                                                               \
    g_test_add("/serial/" name, TestService, options, test_service_set_up, function,               \
               test_service_tear_down)
    ADD("broken-off", NULL, test_broken_off);
    ADD("half-header", NULL, test_half_header);
    ADD("garbage", NULL, test_garbage);
    ADD("next-client", NULL, test_next_client);
    ADD("sessions", FEW, test_sessions);
    return g_test_run();
}
