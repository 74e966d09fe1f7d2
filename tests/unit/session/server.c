/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The server over a Unix socket, with libsoup's client as the viewer. */
#include "guest-provision/session/server.h"

#include <gio/gunixsocketaddress.h>
#include <glib/gstdio.h>
#include <libsoup/soup.h>
#include <string.h>

typedef struct {
    char *directory;
    char *path;
    SessionServer *server;
    SoupSession *session;
    guint viewers;
    SessionWish wish;
    guint keyframes_wanted;
} Fixture;

static void describe(HxStreamInit *ret_init, void *data)
{
    *ret_init =
        (HxStreamInit){.codec = HX_STREAM_CODEC_H264, .width = 1280, .height = 720, .fps = 30};
}

static char *statistics(void *data)
{
    return g_strdup("{\"session\":\"test\"}");
}

static void needs_keyframe(void *data)
{
    ((Fixture *)data)->keyframes_wanted++;
}

static void viewers_changed(guint viewers, const SessionWish *wish, void *data)
{
    ((Fixture *)data)->wish = *wish;
    ((Fixture *)data)->viewers = viewers;
}

enum { VIEWERS_MAX = 5 };

static guint16 encoder_latency(void *data)
{
    return 17;
}

static void set_up(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    fixture->directory = g_dir_make_tmp("helixvm-session-XXXXXX", &error);
    g_assert_no_error(error);
    fixture->path = g_build_filename(fixture->directory, "socket", NULL);
    int fd = session_listen_unix(fixture->path, &error);
    g_assert_no_error(error);
    SessionServerEvents events = {.describe = describe,
                                  .statistics = statistics,
                                  .needs_keyframe = needs_keyframe,
                                  .viewers_changed = viewers_changed,
                                  .encoder_latency = encoder_latency,
                                  .data = fixture};
    fixture->server = session_server_new(fd, VIEWERS_MAX, &events);
    g_autoptr(GSocketAddress) address = g_unix_socket_address_new(fixture->path);
    fixture->session = soup_session_new_with_options("remote-connectable", address, NULL);
}

static void tear_down(Fixture *fixture, gconstpointer data)
{
    soup_session_abort(fixture->session);
    g_object_unref(fixture->session);
    session_server_free(fixture->server);
    g_unlink(fixture->path);
    g_assert_no_errno(g_rmdir(fixture->directory));
    g_free(fixture->path);
    g_free(fixture->directory);
    while (g_main_context_iteration(NULL, FALSE))
        ;
}

/* --- a viewer ----------------------------------------------------------------------------------
 */

typedef struct {
    SoupWebsocketConnection *socket;
    GQueue messages; /* GBytes; texts with a leading 'T' */
    gboolean failed;
    gboolean closed;
} Viewer;

static gboolean late(void *data)
{
    g_error("nothing happened for 20 s");
    return G_SOURCE_REMOVE;
}

#define WAIT_FOR(condition)                                                                        \
    do {                                                                                           \
        guint timeout_ = g_timeout_add_seconds(20, late, NULL);                                    \
        while (!(condition))                                                                       \
            g_main_context_iteration(NULL, TRUE);                                                  \
        g_source_remove(timeout_);                                                                 \
    } while (0)

static void on_message(SoupWebsocketConnection *socket, SoupWebsocketDataType type, GBytes *message,
                       Viewer *viewer)
{
    gsize size;
    const void *data = g_bytes_get_data(message, &size);
    GByteArray *copy = g_byte_array_new();
    if (type == SOUP_WEBSOCKET_DATA_TEXT)
        g_byte_array_append(copy, (const guint8 *)"T", 1);
    g_byte_array_append(copy, data, (guint)size);
    g_queue_push_tail(&viewer->messages, g_byte_array_free_to_bytes(copy));
}

static void on_closed(SoupWebsocketConnection *socket, Viewer *viewer)
{
    viewer->closed = TRUE;
}

static void connected(GObject *source, GAsyncResult *result, void *data)
{
    Viewer *viewer = data;
    viewer->socket = soup_session_websocket_connect_finish(SOUP_SESSION(source), result, NULL);
    viewer->failed = viewer->socket == NULL;
}

static void connect_viewer(Fixture *fixture, Viewer *viewer, const char *path)
{
    g_autofree char *uri = g_strconcat("ws://localhost", path, NULL);
    g_autoptr(SoupMessage) message = soup_message_new("GET", uri);
    *viewer = (Viewer){0};
    g_queue_init(&viewer->messages);
    soup_session_websocket_connect_async(fixture->session, message, NULL, NULL, G_PRIORITY_DEFAULT,
                                         NULL, connected, viewer);
    WAIT_FOR(viewer->socket || viewer->failed);
    if (!viewer->socket)
        return;
    soup_websocket_connection_set_max_incoming_payload_size(viewer->socket, 0);
    g_signal_connect(viewer->socket, "message", G_CALLBACK(on_message), viewer);
    g_signal_connect(viewer->socket, "closed", G_CALLBACK(on_closed), viewer);
}

static void leave(Viewer *viewer)
{
    if (soup_websocket_connection_get_state(viewer->socket) == SOUP_WEBSOCKET_STATE_OPEN)
        soup_websocket_connection_close(viewer->socket, SOUP_WEBSOCKET_CLOSE_NORMAL, NULL);
    WAIT_FOR(viewer->closed);
    g_object_unref(viewer->socket);
    g_queue_clear_full(&viewer->messages, (GDestroyNotify)g_bytes_unref);
}

static void ask_for(Viewer *viewer, int fps, int bitrate)
{
    HxStreamRequest request = {
        .session_id = (char *)"test", .width = 1, .height = 1, .fps = fps, .bitrate_kbit = bitrate};
    g_autofree char *text = hx_stream_request_build(&request);
    soup_websocket_connection_send_text(viewer->socket, text);
}

static void ask(Viewer *viewer)
{
    ask_for(viewer, 30, 0);
}

static GBytes *next(Viewer *viewer)
{
    WAIT_FOR(!g_queue_is_empty(&viewer->messages));
    return g_queue_pop_head(&viewer->messages);
}

static void assert_binary(GBytes *bytes, HxStreamMessage *message)
{
    g_autoptr(GError) error = NULL;
    gsize size;
    const void *data = g_bytes_get_data(bytes, &size);
    g_assert_true(hx_stream_decode(data, size, message, &error));
    g_assert_no_error(error);
}

/* Ask for the stream, and take what comes before its frames. */
static void join(Viewer *viewer)
{
    HxStreamMessage message;
    int width = 0, height = 0;
    ask(viewer);
    g_autoptr(GBytes) complete = next(viewer);
    gsize size;
    const char *text = g_bytes_get_data(complete, &size);
    g_assert_cmpint(text[0], ==, 'T');
    g_assert_true(hx_stream_complete_parse(text + 1, size - 1, &width, &height, NULL));
    g_assert_cmpint(width, ==, 1280);
    g_assert_cmpint(height, ==, 720);
    g_autoptr(GBytes) init = next(viewer);
    assert_binary(init, &message);
    g_assert_cmpint(message.type, ==, HX_STREAM_INIT);
    g_assert_cmpint(message.init.fps, ==, 30);
}

static void send_frame(Fixture *fixture, guint64 pts, gboolean is_keyframe, gsize size)
{
    g_autofree guint8 *data = g_malloc0(size);
    HxStreamFrame frame = {.codec = HX_STREAM_CODEC_H264,
                           .flags = is_keyframe ? HX_STREAM_FRAME_KEY : 0,
                           .pts_us = pts,
                           .width = 1280,
                           .height = 720,
                           .data = data,
                           .size = size};
    session_server_send_frame(fixture->server, &frame);
}

static void assert_flags(Viewer *viewer, guint64 pts, int flags)
{
    HxStreamMessage message;
    g_autoptr(GBytes) bytes = next(viewer);
    assert_binary(bytes, &message);
    g_assert_cmpint(message.type, ==, HX_STREAM_VIDEO_FRAME);
    g_assert_cmpuint(message.frame.pts_us, ==, pts);
    g_assert_cmpint(message.frame.flags, ==, flags);
}

static void assert_frame(Viewer *viewer, guint64 pts, gboolean is_keyframe)
{
    assert_flags(viewer, pts, is_keyframe ? HX_STREAM_FRAME_KEY : 0);
}

static void assert_stream_error(Viewer *viewer, const char *text)
{
    HxStreamMessage message;
    g_autoptr(GBytes) bytes = next(viewer);
    assert_binary(bytes, &message);
    g_assert_cmpint(message.type, ==, HX_STREAM_ERROR);
    g_autofree char *said = g_strndup(message.error.text, message.error.length);
    g_assert_nonnull(strstr(said, text));
    WAIT_FOR(viewer->closed);
}

/* --- tests -------------------------------------------------------------------------------------
 */

static void test_stream(Fixture *fixture, gconstpointer data)
{
    Viewer viewer;
    connect_viewer(fixture, &viewer, "/ws/stream");
    send_frame(fixture, 1, TRUE, 100); /* to nobody: it has not asked yet */
    join(&viewer);
    g_assert_cmpuint(fixture->viewers, ==, 1);
    g_assert_cmpuint(fixture->keyframes_wanted, ==, 1);
    send_frame(fixture, 2, FALSE, 100); /* not decodable by itself */
    send_frame(fixture, 3, TRUE, 100);
    send_frame(fixture, 4, FALSE, 100);
    assert_frame(&viewer, 3, TRUE);
    assert_frame(&viewer, 4, FALSE);
    leave(&viewer);
    WAIT_FOR(fixture->viewers == 0);
}

static void test_ping(Fixture *fixture, gconstpointer data)
{
    Viewer viewer;
    HxStreamMessage message;
    connect_viewer(fixture, &viewer, "/ws/stream");
    join(&viewer);
    HxStreamPing ping = {.sequence = 9, .client_time_us = 1234};
    g_autoptr(GBytes) bytes = hx_stream_encode_ping(&ping);
    soup_websocket_connection_send_message(viewer.socket, SOUP_WEBSOCKET_DATA_BINARY, bytes);
    g_autoptr(GBytes) answer = next(&viewer);
    assert_binary(answer, &message);
    g_assert_cmpint(message.type, ==, HX_STREAM_PONG);
    g_assert_cmpuint(message.pong.sequence, ==, 9);
    g_assert_cmpuint(message.pong.client_time_us, ==, 1234);
    g_assert_cmpuint(message.pong.encoder_latency_ms, ==, 17);
    leave(&viewer);
}

/* Input is ignored, whatever it is, and so is what is no viewer's to say. */
static void test_input(Fixture *fixture, gconstpointer data)
{
    static const char *const texts[] = {
        "{\"type\":\"key\"}", "", "{", "[[[", "\xc3\xa9", "{\"type\":\"init\",\"width\":-1}"};
    g_autoptr(GRand) random = g_rand_new_with_seed(6);
    Viewer viewer, other;
    connect_viewer(fixture, &viewer, "/ws/stream");
    join(&viewer);
    connect_viewer(fixture, &other, "/ws/stream");
    join(&other);
    for (guint i = 0; i < G_N_ELEMENTS(texts); i++)
        soup_websocket_connection_send_text(viewer.socket, texts[i]);
    soup_websocket_connection_send_binary(viewer.socket, "", 0);
    for (int type = 0; type < 256; type++) {
        guint8 bytes[200] = {(guint8)type};
        for (gsize i = 1; i < sizeof bytes; i++)
            bytes[i] = (guint8)g_rand_int(random);
        /* A ping is no input. */
        if (type != HX_STREAM_PING)
            for (gsize size = 1; size <= sizeof bytes; size += 33)
                soup_websocket_connection_send_binary(viewer.socket, bytes, size);
    }
    HxStreamPing ping = {.sequence = 7};
    g_autoptr(GBytes) bytes = hx_stream_encode_ping(&ping);
    soup_websocket_connection_send_message(viewer.socket, SOUP_WEBSOCKET_DATA_BINARY, bytes);
    HxStreamMessage message;
    g_autoptr(GBytes) answer = next(&viewer);
    assert_binary(answer, &message);
    g_assert_cmpint(message.type, ==, HX_STREAM_PONG);
    send_frame(fixture, 1, TRUE, 100);
    assert_frame(&viewer, 1, TRUE);
    assert_frame(&other, 1, TRUE);
    leave(&viewer);
    leave(&other);
    WAIT_FOR(fixture->viewers == 0);
}

static void assert_told(Viewer *viewer, const char *source, const char *reason)
{
    g_auto(HxStreamSource) told = {0};
    g_autoptr(GBytes) bytes = next(viewer);
    gsize size;
    const char *text = g_bytes_get_data(bytes, &size);
    g_assert_cmpint(text[0], ==, 'T');
    g_assert_true(hx_stream_source_parse(text + 1, size - 1, &told, NULL));
    g_assert_cmpstr(told.source, ==, source);
    g_assert_cmpstr(told.reason, ==, reason);
}

/* Each viewer is told once it has joined, and each change. */
static void test_source(Fixture *fixture, gconstpointer data)
{
    const HxStreamSource host = {.source = (char *)"resource", .encoder = (char *)"vsockenc"};
    const HxStreamSource guest = {
        .source = (char *)"guest", .encoder = (char *)"x264enc", .reason = (char *)"it hung"};
    Viewer early, silent, next_one;
    connect_viewer(fixture, &early, "/ws/stream");
    connect_viewer(fixture, &silent, "/ws/stream");
    join(&early);
    session_server_set_source(fixture->server, &host);
    assert_told(&early, "resource", NULL);
    session_server_set_source(fixture->server, &guest);
    assert_told(&early, "guest", "it hung");
    connect_viewer(fixture, &next_one, "/ws/stream");
    join(&next_one);
    assert_told(&next_one, "guest", "it hung");
    join(&silent);
    assert_told(&silent, "guest", "it hung");
    leave(&next_one);
    leave(&silent);
    leave(&early);
    WAIT_FOR(fixture->viewers == 0);
}

static void test_bad_init(Fixture *fixture, gconstpointer data)
{
    Viewer viewer;
    connect_viewer(fixture, &viewer, "/ws/stream");
    soup_websocket_connection_send_text(viewer.socket, "{\"type\":\"hello\"}");
    assert_stream_error(&viewer, "init");
    leave(&viewer);
    g_assert_cmpuint(fixture->viewers, ==, 0);
}

static void test_bad_binary(Fixture *fixture, gconstpointer data)
{
    Viewer viewer;
    connect_viewer(fixture, &viewer, "/ws/stream");
    join(&viewer);
    soup_websocket_connection_send_binary(viewer.socket, "\x40\x01", 2);
    assert_stream_error(&viewer, "Ping");
    leave(&viewer);
    WAIT_FOR(fixture->viewers == 0);
}

static void test_failure(Fixture *fixture, gconstpointer data)
{
    Viewer before, after;
    connect_viewer(fixture, &before, "/ws/stream");
    join(&before);
    session_server_fail(fixture->server, "the compositor is gone");
    assert_stream_error(&before, "the compositor is gone");
    leave(&before);
    connect_viewer(fixture, &after, "/ws/stream");
    ask(&after);
    assert_stream_error(&after, "the compositor is gone");
    leave(&after);
}

/* Who comes late sees the current picture at once, and costs the others nothing. */
static void test_replay(Fixture *fixture, gconstpointer data)
{
    enum { REPLAY = HX_STREAM_FRAME_REPLAY, KEY = HX_STREAM_FRAME_KEY };
    Viewer first, second, third;
    connect_viewer(fixture, &first, "/ws/stream");
    join(&first);
    send_frame(fixture, 1, TRUE, 100);
    send_frame(fixture, 2, TRUE, 100);
    send_frame(fixture, 3, FALSE, 100);
    connect_viewer(fixture, &second, "/ws/stream");
    join(&second);
    send_frame(fixture, 4, FALSE, 100);
    assert_flags(&second, 2, KEY | REPLAY);
    assert_flags(&second, 3, REPLAY);
    assert_flags(&second, 4, 0);
    for (guint64 pts = 1; pts <= 4; pts++)
        assert_frame(&first, pts, pts <= 2);
    g_assert_cmpuint(fixture->keyframes_wanted, ==, 1);

    /* What is too large to be replayed is not: it waits for a keyframe. */
    send_frame(fixture, 5, FALSE, SESSION_GOP_BYTES_MAX);
    assert_frame(&first, 5, FALSE);
    assert_frame(&second, 5, FALSE);
    connect_viewer(fixture, &third, "/ws/stream");
    join(&third);
    g_assert_cmpuint(fixture->keyframes_wanted, ==, 2);
    send_frame(fixture, 6, FALSE, 100);
    send_frame(fixture, 7, TRUE, 100);
    assert_frame(&third, 7, TRUE);

    /* Nor is what nobody has seen for a while. */
    leave(&third);
    leave(&second);
    leave(&first);
    WAIT_FOR(fixture->viewers == 0);
    connect_viewer(fixture, &first, "/ws/stream");
    join(&first);
    g_assert_cmpuint(fixture->keyframes_wanted, ==, 3);
    send_frame(fixture, 8, TRUE, 100);
    assert_frame(&first, 8, TRUE);
    leave(&first);
    WAIT_FOR(fixture->viewers == 0);
}

/* A viewer that has asked for the stream and reads nothing. */
static GSocketConnection *connect_silent(Fixture *fixture)
{
    static const char upgrade[] = "GET /ws/stream HTTP/1.1\r\nHost: localhost\r\n"
                                  "Upgrade: websocket\r\nConnection: Upgrade\r\n"
                                  "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
                                  "Sec-WebSocket-Version: 13\r\n\r\n"
                                  "\x81\x8f\0\0\0\0{\"type\":\"init\"}";
    g_autoptr(GError) error = NULL;
    g_autoptr(GSocketClient) client = g_socket_client_new();
    g_autoptr(GSocketAddress) address = g_unix_socket_address_new(fixture->path);
    GSocketConnection *connection =
        g_socket_client_connect(client, G_SOCKET_CONNECTABLE(address), NULL, &error);
    g_assert_no_error(error);
    g_assert_true(g_output_stream_write_all(g_io_stream_get_output_stream(G_IO_STREAM(connection)),
                                            upgrade, sizeof upgrade - 1, NULL, NULL, &error));
    return connection;
}

/* Take what has come for it; how much that is. */
static gsize read_all(GSocketConnection *connection)
{
    g_autofree char *buffer = g_malloc(65536);
    gssize size =
        g_socket_receive(g_socket_connection_get_socket(connection), buffer, 65536, NULL, NULL);
    return size > 0 ? (gsize)size : 0;
}

/* A viewer that does not read loses frames; another one loses none, nor gets keyframes that it does
 * not need.  One that reads again has a keyframe asked for. */
static void test_slow(Fixture *fixture, gconstpointer data)
{
    enum { ROUNDS = 200, SIZE = 100 * 1000, QUEUE_MAX = 4 * 1024 * 1024 };
    Viewer quick;
    g_autoptr(GSocketConnection) slow = connect_silent(fixture);
    g_socket_set_blocking(g_socket_connection_get_socket(slow), FALSE);
    WAIT_FOR(fixture->viewers == 1);
    connect_viewer(fixture, &quick, "/ws/stream");
    join(&quick);
    g_assert_cmpuint(fixture->keyframes_wanted, ==, 2);
    for (guint64 i = 0; i < ROUNDS; i++) {
        send_frame(fixture, i, i == 0, SIZE);
        assert_frame(&quick, i, i == 0);
    }
    /* 20 MB were sent and 4 MiB may wait. */
    guint64 dropped = session_server_dropped(fixture->server);
    g_assert_cmpuint(dropped, >=, ROUNDS - QUEUE_MAX / SIZE - 10);
    g_assert_cmpuint(fixture->keyframes_wanted, ==, 2);

    gsize taken = 0;
    WAIT_FOR((taken += read_all(slow), fixture->keyframes_wanted == 3));
    g_assert_cmpuint(taken, <, 4 * SIZE + 1024 * 1024); /* what was in its socket */
    send_frame(fixture, ROUNDS, FALSE, SIZE);
    send_frame(fixture, ROUNDS + 1, TRUE, SIZE);
    assert_frame(&quick, ROUNDS, FALSE);
    assert_frame(&quick, ROUNDS + 1, TRUE);
    g_assert_cmpuint(session_server_dropped(fixture->server), ==, dropped + 1);
    gsize rest = 0;
    WAIT_FOR((rest += read_all(slow)) >= SIZE);
    g_assert_cmpuint(fixture->keyframes_wanted, ==, 3);
    leave(&quick);
    g_io_stream_close(G_IO_STREAM(slow), NULL, NULL);
    WAIT_FOR(fixture->viewers == 0);
}

static gboolean raise_flag(void *data)
{
    *(gboolean *)data = TRUE;
    return G_SOURCE_REMOVE;
}

/* A viewer that hangs is sent away, also where its socket takes no goodbye any more: behind a frame
 * that it has taken in part. */
static void test_hang(Fixture *fixture, gconstpointer data)
{
    Viewer quick;
    g_autoptr(GSocketConnection) slow = connect_silent(fixture);
    WAIT_FOR(fixture->viewers == 1);
    send_frame(fixture, 1, TRUE, 3 * 1024 * 1024);
    gboolean is_time = FALSE;
    g_timeout_add_seconds(15, raise_flag, &is_time);
    connect_viewer(fixture, &quick, "/ws/stream");
    join(&quick);
    /* A ping is sent after 5 s, and its answer awaited for 15 s. */
    WAIT_FOR(is_time);
    g_assert_cmpuint(fixture->viewers, ==, 2);
    WAIT_FOR(fixture->viewers == 1);
    send_frame(fixture, 2, TRUE, 100);
    assert_frame(&quick, 2, TRUE);
    leave(&quick);
    WAIT_FOR(fixture->viewers == 0);
}

static void test_many(Fixture *fixture, gconstpointer data)
{
    enum { MOST = VIEWERS_MAX };
    Viewer viewers[MOST + 1];
    for (int i = 0; i < MOST; i++) {
        connect_viewer(fixture, &viewers[i], "/ws/stream");
        join(&viewers[i]);
    }
    connect_viewer(fixture, &viewers[MOST], "/ws/stream");
    assert_stream_error(&viewers[MOST], "\"viewers\" allows: 5");
    for (int i = 0; i <= MOST; i++)
        leave(&viewers[i]);
    WAIT_FOR(fixture->viewers == 0);
}

/* The most that one of them asks for; who asks for nothing wants the session's own. */
static void test_wishes(Fixture *fixture, gconstpointer data)
{
    static const struct {
        int fps, bitrate;               /* of one more viewer */
        int wanted_fps, wanted_bitrate; /* of all up to it */
    } steps[] = {{10, 500, 10, 500}, {5, 2000, 10, 2000}, {0, 1000, 0, 2000}, {60, 0, 0, 0}};
    Viewer viewers[G_N_ELEMENTS(steps)];
    for (guint i = 0; i < G_N_ELEMENTS(steps); i++) {
        connect_viewer(fixture, &viewers[i], "/ws/stream");
        ask_for(&viewers[i], steps[i].fps, steps[i].bitrate);
        WAIT_FOR(fixture->viewers == i + 1);
        g_assert_cmpint(fixture->wish.fps, ==, steps[i].wanted_fps);
        g_assert_cmpint(fixture->wish.bitrate, ==, steps[i].wanted_bitrate);
    }
    for (guint i = G_N_ELEMENTS(steps) - 1; i > 0; i--) {
        leave(&viewers[i]);
        WAIT_FOR(fixture->viewers == i);
        g_assert_cmpint(fixture->wish.fps, ==, steps[i - 1].wanted_fps);
        g_assert_cmpint(fixture->wish.bitrate, ==, steps[i - 1].wanted_bitrate);
    }
    leave(&viewers[0]);
    WAIT_FOR(fixture->viewers == 0);
    g_assert_cmpint(fixture->wish.fps, ==, 0);
    g_assert_cmpint(fixture->wish.bitrate, ==, 0);
}

typedef struct {
    GBytes *body;
    gboolean done;
} Reply;

static void got_reply(GObject *source, GAsyncResult *result, void *data)
{
    Reply *reply = data;
    reply->body = soup_session_send_and_read_finish(SOUP_SESSION(source), result, NULL);
    reply->done = TRUE;
}

static guint request(Fixture *fixture, const char *method, const char *path, Reply *reply)
{
    g_autofree char *uri = g_strconcat("http://localhost", path, NULL);
    g_autoptr(SoupMessage) message = soup_message_new(method, uri);
    *reply = (Reply){0};
    soup_session_send_and_read_async(fixture->session, message, G_PRIORITY_DEFAULT, NULL, got_reply,
                                     reply);
    WAIT_FOR(reply->done);
    return soup_message_get_status(message);
}

static void test_http(Fixture *fixture, gconstpointer data)
{
    Reply reply;
    g_assert_cmpuint(request(fixture, "GET", "/statistics", &reply), ==, 200);
    g_assert_cmpmem(g_bytes_get_data(reply.body, NULL), g_bytes_get_size(reply.body),
                    "{\"session\":\"test\"}", 18);
    g_bytes_unref(reply.body);
    g_assert_cmpuint(request(fixture, "POST", "/statistics", &reply), ==, 405);
    g_clear_pointer(&reply.body, g_bytes_unref);
    g_assert_cmpuint(request(fixture, "GET", "/", &reply), ==, 404);
    g_clear_pointer(&reply.body, g_bytes_unref);
    Viewer viewer;
    connect_viewer(fixture, &viewer, "/elsewhere");
    g_assert_true(viewer.failed);
}

#define ADD(name, function) g_test_add("/server/" name, Fixture, NULL, set_up, function, tear_down)

static void ignore(const char *domain, GLogLevelFlags level, const char *text, void *data)
{
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_log_set_handler("libsoup", G_LOG_LEVEL_DEBUG, ignore, NULL);
    g_log_set_handler("GLib-GIO", G_LOG_LEVEL_DEBUG, ignore, NULL);
    ADD("stream", test_stream);
    ADD("ping", test_ping);
    ADD("wishes", test_wishes);
    ADD("input", test_input);
    ADD("replay", test_replay);
    ADD("source", test_source);
    ADD("bad-init", test_bad_init);
    ADD("bad-binary", test_bad_binary);
    ADD("failure", test_failure);
    ADD("slow", test_slow);
    ADD("hang", test_hang);
    ADD("many", test_many);
    ADD("http", test_http);
    return g_test_run();
}
