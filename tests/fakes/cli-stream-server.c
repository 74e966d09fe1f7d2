/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/fakes/cli-stream-server.h"

#include <string.h>
#include <sys/socket.h>

const HxStreamRequest stream_request = {
    .session_id = (char *)"desktop", .width = 1280, .height = 720, .fps = 30, .bitrate_kbit = 5000};

static void on_message(SoupWebsocketConnection *connection, int type, GBytes *bytes, void *data)
{
    StreamServer *server = data;
    if (server->began) {
        if (server->message)
            server->message(connection, bytes);
        return;
    }
    g_auto(HxStreamRequest) got = {};
    g_autoptr(GError) error = NULL;
    g_assert_cmpint(type, ==, SOUP_WEBSOCKET_DATA_TEXT);
    hx_stream_request_parse(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), &got, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(got.session_id, ==, "desktop");
    g_assert_cmpint(got.width, ==, 1280);
    g_assert_cmpint(got.bitrate_kbit, ==, 5000);
    server->began = TRUE;
    server->begin(connection);
}

static void on_pong(SoupWebsocketConnection *connection, GBytes *bytes, void *data)
{
    g_atomic_int_inc(&((StreamServer *)data)->pongs);
}

static void on_websocket(SoupServer *soup, SoupServerMessage *message, const char *path,
                         SoupWebsocketConnection *connection, void *data)
{
    StreamServer *server = data;
    server->connection = g_object_ref(connection);
    g_signal_connect(connection, "message", G_CALLBACK(on_message), server);
    g_signal_connect(connection, "pong", G_CALLBACK(on_pong), server);
}

static void on_get(SoupServer *soup, SoupServerMessage *message, const char *path,
                   GHashTable *query, void *data)
{
    if (g_str_equal(path, "/statistics")) {
        const StreamServer *server = data;
        const char *body = server->statistics ? server->statistics : "{}";
        soup_server_message_set_response(message, "application/json", SOUP_MEMORY_STATIC, body,
                                         strlen(body));
        soup_server_message_set_status(message, 200, NULL);
    } else if (g_str_equal(path, "/big")) {
        char *body = g_strnfill(3 * 1024 * 1024, ' ');
        soup_server_message_set_response(message, "text/plain", SOUP_MEMORY_TAKE, body,
                                         strlen(body));
        soup_server_message_set_status(message, 200, NULL);
    } else if (g_str_equal(path, "/private")) {
        soup_server_message_set_status(message, 401, NULL);
    } else if (g_str_equal(path, "/forbidden")) {
        soup_server_message_set_status(message, 403, NULL);
    } else {
        soup_server_message_set_status(message, 404, NULL);
    }
}

static gboolean quit(void *loop)
{
    g_main_loop_quit(loop);
    return G_SOURCE_REMOVE;
}

static void *serve(void *data)
{
    StreamServer *server = data;
    GMainContext *context = g_main_loop_get_context(server->loop);
    g_main_context_push_thread_default(context);
    g_autoptr(GError) error = NULL;
    g_autoptr(SoupServer) soup = soup_server_new(NULL, NULL);
    soup_server_add_websocket_handler(soup, STREAM_PATH, NULL, NULL, on_websocket, server, NULL);
    soup_server_add_handler(soup, NULL, on_get, server, NULL);
    g_autoptr(GSocket) socket = g_socket_new_from_fd(server->fd, &error);
    g_assert_no_error(error);
    g_autoptr(GSocketConnection) stream = g_socket_connection_factory_create_connection(socket);
    /* libsoup 3 asserts that there are addresses. */
    g_autoptr(GSocketAddress) nobody = g_inet_socket_address_new_from_string("127.0.0.1", 0);
    soup_server_accept_iostream(soup, G_IO_STREAM(stream), nobody, nobody, &error);
    g_assert_no_error(error);
    g_main_loop_run(server->loop);
    g_clear_object(&server->connection);
    soup_server_disconnect(soup);
    g_main_context_pop_thread_default(context);
    return NULL;
}

int stream_server_start(StreamServer *server)
{
    int ends[2];
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), ==, 0);
    g_autoptr(GMainContext) context = g_main_context_new();
    server->fd = ends[1];
    server->loop = g_main_loop_new(context, FALSE);
    server->thread = g_thread_new("server", serve, server);
    return ends[0];
}

void stream_server_stop(StreamServer *server)
{
    GMainContext *context = g_main_loop_get_context(server->loop);
    g_main_context_invoke(context, quit, server->loop);
    g_thread_join(server->thread);
    g_main_loop_unref(server->loop);
}

void stream_server_send(SoupWebsocketConnection *connection, GBytes *bytes)
{
    soup_websocket_connection_send_message(connection, SOUP_WEBSOCKET_DATA_BINARY, bytes);
    g_bytes_unref(bytes);
}
