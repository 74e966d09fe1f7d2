/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The viewer against libsoup's WebSocket server, and against raw bytes that libsoup would not send.
 */
#include "cli/stream-client.h"

#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#include "launcher/base/error.h"
#include "launcher/base/fd.h"
#include "tests/fakes/cli-stream-server.h"

#define SECOND G_USEC_PER_SEC
static HxStreamClient *view(StreamServer *server)
{
    g_autoptr(GError) error = NULL;
    HxStreamClient *client = hx_stream_client_new(stream_server_start(server), STREAM_PATH,
                                                  &stream_request, 5, NULL, &error);
    g_assert_no_error(error);
    return client;
}

static void next(HxStreamClient *client, HxStreamEventType type, HxStreamEvent *event)
{
    g_autoptr(GError) error = NULL;
    hx_stream_client_next(client, g_get_monotonic_time() + 5 * SECOND, event, &error);
    g_assert_no_error(error);
    g_assert_cmpint(event->type, ==, type);
}

static void next_fails(HxStreamClient *client, int code, const char *text)
{
    g_autoptr(GError) error = NULL;
    HxStreamEvent event;
    g_assert_false(
        hx_stream_client_next(client, g_get_monotonic_time() + 5 * SECOND, &event, &error));
    g_assert_error(error, HX_ERROR, code);
    if (!strstr(error->message, text))
        g_error("\"%s\" does not hold \"%s\"", error->message, text);
}

/* --- a stream -----------------------------------------------------------------------------------
 */

#define BIG (3 * 1024 * 1024 + 1)

static guint8 *big_frame(void)
{
    guint8 *data = g_malloc(BIG);
    for (gsize i = 0; i < BIG; i++)
        data[i] = i * 7 >> 3;
    return data;
}

static void begin_stream(SoupWebsocketConnection *connection)
{
    g_autofree char *complete = hx_stream_complete_build(640, 480);
    soup_websocket_connection_send_text(connection, complete);
    soup_websocket_connection_send_text(connection, "{\"type\": \"something else\"}");
    HxStreamInit init = {.codec = 1, .width = 640, .height = 480, .fps = 30};
    stream_server_send(connection, hx_stream_encode_init(&init));
    g_autofree guint8 *data = big_frame();
    HxStreamFrame frame = {.codec = 1,
                           .flags = HX_STREAM_FRAME_KEY,
                           .pts_us = 1234567890123,
                           .width = 640,
                           .height = 480,
                           .data = data,
                           .size = BIG};
    stream_server_send(connection, hx_stream_encode_frame(&frame));
    const HxStreamSource source = {.source = (char *)"pixels", .encoder = (char *)"vsockenc"};
    g_autofree char *told = hx_stream_source_build(&source);
    soup_websocket_connection_send_text(connection, told);
    stream_server_send(connection, g_bytes_new_static("\x52whatever", 9));
    HxStreamFrame frames[3] = {{.pts_us = 1, .data = (void *)"a", .size = 1},
                               {.pts_us = 2, .data = (void *)"", .size = 0},
                               {.pts_us = 3, .data = (void *)"ccc", .size = 3}};
    stream_server_send(connection, hx_stream_encode_batch(frames, 3));
    stream_server_send(connection, hx_stream_encode_error("the compositor ended"));
}

static void test_stream(void)
{
    StreamServer server = {.begin = begin_stream};
    g_autoptr(HxStreamClient) client = view(&server);
    HxStreamEvent event;
    next(client, HX_STREAM_EVENT_COMPLETE, &event);
    g_assert_cmpint(event.width, ==, 640);
    g_assert_cmpint(event.height, ==, 480);
    next(client, HX_STREAM_EVENT_INIT, &event);
    g_assert_cmpint(event.init.fps, ==, 30);
    next(client, HX_STREAM_EVENT_FRAME, &event);
    g_autofree guint8 *data = big_frame();
    g_assert_cmpint(event.frame.flags, ==, HX_STREAM_FRAME_KEY);
    g_assert_cmpuint(event.frame.pts_us, ==, 1234567890123);
    g_assert_cmpmem(event.frame.data, event.frame.size, data, BIG);
    next(client, HX_STREAM_EVENT_SOURCE, &event);
    g_assert_cmpstr(event.source->source, ==, "pixels");
    g_assert_null(event.source->reason);
    for (gsize i = 0; i < 3; i++) {
        next(client, HX_STREAM_EVENT_FRAME, &event);
        g_assert_cmpuint(event.frame.pts_us, ==, i + 1);
    }
    g_assert_cmpmem(event.frame.data, event.frame.size, "ccc", 3);
    next_fails(client, HX_ERROR_GUEST, "the compositor ended");
    g_clear_pointer(&client, hx_stream_client_free);
    stream_server_stop(&server);
}

/* --- pings --------------------------------------------------------------------------------------
 */

static void begin_nothing(SoupWebsocketConnection *connection)
{
}

static void answer_ping(SoupWebsocketConnection *connection, GBytes *bytes)
{
    HxStreamMessage message;
    g_assert_true(
        hx_stream_decode(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), &message, NULL));
    g_assert_cmpint(message.type, ==, HX_STREAM_PING);
    /* Of a ping never sent, then twice the right one with a lie about its time. */
    HxStreamPong pong = {.sequence = message.ping.sequence + 1};
    stream_server_send(connection, hx_stream_encode_pong(&pong));
    pong.sequence = message.ping.sequence;
    pong.client_time_us = 1;
    pong.encoder_latency_ms = 7;
    stream_server_send(connection, hx_stream_encode_pong(&pong));
    stream_server_send(connection, hx_stream_encode_pong(&pong));
}

static void test_pings(void)
{
    StreamServer server = {.begin = begin_nothing, .message = answer_ping};
    g_autoptr(HxStreamClient) client = view(&server);
    HxStreamEvent event;
    gint64 end = g_get_monotonic_time() + 5 * SECOND / 2;
    int round_trips = 0;
    for (;;) {
        g_autoptr(GError) error = NULL;
        hx_stream_client_next(client, end, &event, &error);
        g_assert_no_error(error);
        if (event.type == HX_STREAM_EVENT_TIME)
            break;
        g_assert_cmpint(event.type, ==, HX_STREAM_EVENT_PONG);
        g_assert_cmpint(event.pong.round_trip, >, 0);
        g_assert_cmpint(event.pong.round_trip, <, SECOND);
        g_assert_cmpuint(event.pong.encoder_latency, ==, 7);
        round_trips++;
    }
    g_assert_cmpint(g_get_monotonic_time(), >=, end);
    g_assert_cmpint(round_trips, ==, 2);
    g_clear_pointer(&client, hx_stream_client_free);
    stream_server_stop(&server);
}

static void begin_keepalive(SoupWebsocketConnection *connection)
{
    soup_websocket_connection_set_keepalive_interval(connection, 1);
}

static void test_websocket_pings(void)
{
    StreamServer server = {.begin = begin_keepalive};
    g_autoptr(HxStreamClient) client = view(&server);
    HxStreamEvent event;
    g_autoptr(GError) error = NULL;
    hx_stream_client_next(client, g_get_monotonic_time() + 5 * SECOND / 2, &event, &error);
    g_assert_no_error(error);
    g_clear_pointer(&client, hx_stream_client_free);
    stream_server_stop(&server);
    g_assert_cmpint(g_atomic_int_get(&server.pongs), >=, 1);
}

/* --- ends ---------------------------------------------------------------------------------------
 */

static void begin_close(SoupWebsocketConnection *connection)
{
    soup_websocket_connection_close(connection, 4001, "too many viewers");
}

static void begin_garbage(SoupWebsocketConnection *connection)
{
    stream_server_send(connection, g_bytes_new_static("\x01\x01", 2));
}

static void begin_bad_batch(SoupWebsocketConnection *connection)
{
    stream_server_send(connection, g_bytes_new_static("\x03\xff\xff\xff\xff\xff\xff\x01", 8));
}

static void begin_bad_text(SoupWebsocketConnection *connection)
{
    soup_websocket_connection_send_text(connection, "{\"ConnectionComplete\": ");
}

typedef struct {
    void (*begin)(SoupWebsocketConnection *connection);
    int code;
    const char *text;
} End;

static void test_end(const void *data)
{
    const End *end = data;
    StreamServer server = {.begin = end->begin};
    g_autoptr(HxStreamClient) client = view(&server);
    next_fails(client, end->code, end->text);
    g_clear_pointer(&client, hx_stream_client_free);
    stream_server_stop(&server);
}

typedef struct {
    const char *path;
    int code;
    const char *text;
} Refusal;

static void test_refusal(const void *data)
{
    const Refusal *refusal = data;
    StreamServer server = {};
    g_autoptr(GError) error = NULL;
    g_assert_null(hx_stream_client_new(stream_server_start(&server), refusal->path, &stream_request,
                                       5, NULL, &error));
    g_assert_error(error, HX_ERROR, refusal->code);
    g_assert_nonnull(strstr(error->message, refusal->text));
    stream_server_stop(&server);
}

/* Whoever accepted is gone before it has said a word. */
static void test_gone(void)
{
    int ends[2];
    g_autoptr(GError) error = NULL;
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), ==, 0);
    close(ends[1]);
    g_assert_null(hx_stream_client_new(ends[0], STREAM_PATH, &stream_request, 5, NULL, &error));
    g_assert_error(error, HX_ERROR, HX_ERROR_CONNECTION);
}

static void *cancel_soon(void *cancel)
{
    g_usleep(200 * 1000);
    g_cancellable_cancel(cancel);
    return NULL;
}

static void test_cancel(void)
{
    StreamServer server = {.begin = begin_nothing};
    g_autoptr(GError) error = NULL;
    g_autoptr(GCancellable) cancel = g_cancellable_new();
    g_autoptr(HxStreamClient) client = hx_stream_client_new(
        stream_server_start(&server), STREAM_PATH, &stream_request, 5, cancel, &error);
    g_assert_no_error(error);
    GThread *thread = g_thread_new("cancel", cancel_soon, cancel);
    next_fails(client, HX_ERROR_CANCELLED, "interrupted");
    g_thread_join(thread);
    g_clear_pointer(&client, hx_stream_client_free);
    stream_server_stop(&server);
}

static void test_silent(void)
{
    int ends[2];
    g_autoptr(GError) error = NULL;
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), ==, 0);
    g_test_timer_start();
    g_assert_null(hx_stream_client_new(ends[0], STREAM_PATH, &stream_request, 1, NULL, &error));
    g_assert_error(error, HX_ERROR, HX_ERROR_TIMEOUT);
    g_assert_cmpfloat(g_test_timer_elapsed(), <, 4);
    close(ends[1]);
}

/* A Helix server that takes the connection, and says no more. */
static void test_silent_helix(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GSocketListener) listener = g_socket_listener_new();
    guint16 port = g_socket_listener_add_any_inet_port(listener, NULL, &error);
    g_assert_no_error(error);
    g_autofree char *url = g_strdup_printf("https://localhost:%u", port);
    HxHelixServer server = {.url = url, .key = (char *)"secret"};
    g_assert_null(
        hx_stream_client_new_helix(&server, STREAM_PATH, &stream_request, 1, NULL, &error));
    g_assert_error(error, HX_ERROR, HX_ERROR_TIMEOUT);
    g_assert_nonnull(strstr(error->message, "see that the Helix server runs"));
}

static void test_get(void)
{
    StreamServer server = {};
    g_autoptr(GError) error = NULL;
    g_autofree char *body =
        hx_stream_get(stream_server_start(&server), "/statistics", 5, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(body, ==, "{}");
    stream_server_stop(&server);

    StreamServer none = {};
    g_assert_null(hx_stream_get(stream_server_start(&none), "/none", 5, NULL, &error));
    g_assert_error(error, HX_ERROR, HX_ERROR_PROTOCOL);
    g_assert_nonnull(strstr(error->message, "404"));
    g_clear_error(&error);
    stream_server_stop(&none);

    StreamServer big = {};
    g_assert_null(hx_stream_get(stream_server_start(&big), "/big", 5, NULL, &error));
    g_assert_error(error, HX_ERROR, HX_ERROR_PROTOCOL);
    stream_server_stop(&big);
}

/* --- raw bytes ----------------------------------------------------------------------------------
 */

typedef struct {
    int fd;
    const void *bytes;
    size_t size;
} Raw;

/* The server's side of RFC 6455, 4.2.2, then the given bytes. */
static void *serve_raw(void *data)
{
    Raw *raw = data;
    g_autoptr(GString) head = g_string_new(NULL);
    char byte;
    while (!strstr(head->str, "\r\n\r\n") && hx_read_all(raw->fd, &byte, 1) == 0)
        g_string_append_c(head, byte);
    char *key = strcasestr(head->str, "Sec-WebSocket-Key: ");
    g_assert_nonnull(key);
    key += strlen("Sec-WebSocket-Key: ");
    *strchr(key, '\r') = 0;
    g_autofree char *text = g_strconcat(key, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11", NULL);
    g_autoptr(GChecksum) sha1 = g_checksum_new(G_CHECKSUM_SHA1);
    g_checksum_update(sha1, (guint8 *)text, strlen(text));
    guint8 digest[20];
    gsize size = sizeof digest;
    g_checksum_get_digest(sha1, digest, &size);
    g_autofree char *accept = g_base64_encode(digest, size);
    g_autofree char *answer = g_strdup_printf("HTTP/1.1 101 Switching Protocols\r\n"
                                              "Upgrade: websocket\r\nConnection: Upgrade\r\n"
                                              "Sec-WebSocket-Accept: %s\r\n\r\n",
                                              accept);
    hx_write_all(raw->fd, answer, strlen(answer));
    hx_write_all(raw->fd, raw->bytes, raw->size);
    return NULL;
}

static HxStreamClient *view_raw(Raw *raw)
{
    int ends[2];
    g_autoptr(GError) error = NULL;
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), ==, 0);
    raw->fd = ends[1];
    GThread *thread = g_thread_new("raw", serve_raw, raw);
    HxStreamClient *client =
        hx_stream_client_new(ends[0], STREAM_PATH, &stream_request, 5, NULL, &error);
    g_thread_join(thread);
    g_assert_no_error(error);
    return client;
}

/* A message in three fragments with a ping and a pong between them, RFC 6455, 5.4. */
static void test_fragments(void)
{
    static const guint8 bytes[] = {
        0x02, 10, 0x01, 1,    1,   0, 0,   0, 0, 0, 0, 0, /* binary, not the last */
        0x89, 2,  'h',  'i',                              /* ping */
        0x00, 5,  9,    2,    128, 1, 224,                /* more, not the last */
        0x8a, 0,                                          /* pong */
        0x80, 3,  'x',  'y',  'z',                        /* the last */
        0x88, 2,  0x03, 0xe8,                             /* close */
    };
    Raw raw = {.bytes = bytes, .size = sizeof bytes};
    g_autoptr(HxStreamClient) client = view_raw(&raw);
    HxStreamEvent event;
    next(client, HX_STREAM_EVENT_FRAME, &event);
    g_assert_cmpuint(event.frame.pts_us, ==, 9);
    g_assert_cmpuint(event.frame.width, ==, 640);
    g_assert_cmpuint(event.frame.height, ==, 480);
    g_assert_cmpmem(event.frame.data, event.frame.size, "xyz", 3);
    next_fails(client, HX_ERROR_CONNECTION, "1000");
    close(raw.fd);
}

/* A message announced with 1 TiB is refused at once, not gathered. */
static void test_too_big(void)
{
    static const guint8 bytes[] = {0x82, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0x01};
    Raw raw = {.bytes = bytes, .size = sizeof bytes};
    g_autoptr(HxStreamClient) client = view_raw(&raw);
    next_fails(client, HX_ERROR_PROTOCOL, "at most");
    close(raw.fd);
}

static void test_cut(void)
{
    static const guint8 bytes[] = {0x82, 100, 0x01, 0x01};
    Raw raw = {.bytes = bytes, .size = sizeof bytes};
    g_autoptr(HxStreamClient) client = view_raw(&raw);
    close(raw.fd);
    next_fails(client, HX_ERROR_CONNECTION, "broke");
}

int main(int argc, char **argv)
{
    static const End ends[] = {
        {begin_close, HX_ERROR_CONNECTION, "4001: too many viewers"},
        {begin_garbage, HX_ERROR_PROTOCOL, "VideoFrame of 2 bytes"},
        {begin_bad_batch, HX_ERROR_PROTOCOL, "VideoBatch"},
        {begin_bad_text, HX_ERROR_PROTOCOL, "not JSON"},
    };
    static const Refusal refusals[] = {
        {"/other", HX_ERROR_PROTOCOL, "404"},
        {"/private", HX_ERROR_ACCESS, "401"},
        {"/forbidden", HX_ERROR_ACCESS, "403"},
    };
    g_test_init(&argc, &argv, NULL);
    signal(SIGPIPE, SIG_IGN);
    g_test_add_func("/stream-client/stream", test_stream);
    g_test_add_func("/stream-client/pings", test_pings);
    g_test_add_func("/stream-client/websocket-pings", test_websocket_pings);
    g_test_add_data_func("/stream-client/end/close", &ends[0], test_end);
    g_test_add_data_func("/stream-client/end/garbage", &ends[1], test_end);
    g_test_add_data_func("/stream-client/end/batch", &ends[2], test_end);
    g_test_add_data_func("/stream-client/end/text", &ends[3], test_end);
    g_test_add_data_func("/stream-client/refusal/404", &refusals[0], test_refusal);
    g_test_add_data_func("/stream-client/refusal/401", &refusals[1], test_refusal);
    g_test_add_data_func("/stream-client/refusal/403", &refusals[2], test_refusal);
    g_test_add_func("/stream-client/gone", test_gone);
    g_test_add_func("/stream-client/cancel", test_cancel);
    g_test_add_func("/stream-client/silent", test_silent);
    g_test_add_func("/stream-client/silent-helix", test_silent_helix);
    g_test_add_func("/stream-client/get", test_get);
    g_test_add_func("/stream-client/fragments", test_fragments);
    g_test_add_func("/stream-client/too-big", test_too_big);
    g_test_add_func("/stream-client/cut", test_cut);
    return g_test_run();
}
