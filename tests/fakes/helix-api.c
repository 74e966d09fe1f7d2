/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A Helix server's WebSocket for sessions, by libsoup: helix-api KEY-FILE [CERTIFICATE.pem].
 *
 * With a certificate, and its key in the same file, it speaks TLS.  It prints its port of
 * 127.0.0.1, then a line for each request and what a viewer says; it ends with its standard input.
 * A session's id tells what becomes of it: see refusals and sessions. */
#include <gio/gunixinputstream.h>
#include <libsoup/soup.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/fakes/endless-frames.h"

#define AGENTS "/api/v1/external-agents"
#define GROUPS 3
#define INTERVAL_MS 20
#define SOON 15 /* ticks until what is to go wrong does */

static char *key;
static GMainLoop *loop;

/* --- a session ----------------------------------------------------------------------------------
 */

typedef struct Viewer Viewer;
struct Viewer {
    SoupWebsocketConnection *connection;
    const struct Session *session;
    guint64 frames, ticks;
    guint timer;
};

typedef struct Session {
    const char *id;
    void (*begin)(Viewer *viewer);
    void (*tick)(Viewer *viewer); /* every INTERVAL_MS; NULL: nothing more */
} Session;

static void answer(Viewer *viewer)
{
    g_autofree char *complete = hx_stream_complete_build(PICTURE_WIDTH, PICTURE_HEIGHT);
    soup_websocket_connection_send_text(viewer->connection, complete);
}

/* With what a viewer is to pass over. */
static void begin(Viewer *viewer)
{
    answer(viewer);
    soup_websocket_connection_send_text(viewer->connection, "{\"Presence\":{\"users\":[]}}");
    HxStreamInit init = {.codec = 1, .width = PICTURE_WIDTH, .height = PICTURE_HEIGHT, .fps = 50};
    send_binary(viewer->connection, hx_stream_encode_init(&init));
    send_binary(viewer->connection, g_bytes_new_static("\x50 a cursor", 10));
    send_binary(viewer->connection, g_bytes_new_static("\xee", 1));
}

/* One frame, twice, and then three at once, when the last of them is due. */
static void send_frames(Viewer *viewer)
{
    HxStreamFrame frames[3];
    const guint phase = viewer->ticks % 5;
    if (phase == 2 || phase == 3)
        return;
    const guint count = phase == 4 ? 3 : 1;
    for (guint i = 0; i < count; i++)
        frames[i] = endless_frame(viewer->frames++, INTERVAL_MS);
    send_binary(viewer->connection, count == 1 ? hx_stream_encode_frame(frames)
                                               : hx_stream_encode_batch(frames, count));
    if (viewer->ticks % 7 == 0)
        send_binary(viewer->connection, g_bytes_new_static("\x02 audio", 7));
}

static void then_error(Viewer *viewer)
{
    if (viewer->ticks < SOON) {
        send_frames(viewer);
    } else if (viewer->ticks == SOON) {
        g_autofree char *text = g_strdup_printf("the pipeline of %s failed", key);
        send_binary(viewer->connection, hx_stream_encode_error(text));
    }
}

static void then_close(Viewer *viewer)
{
    if (viewer->ticks < SOON)
        send_frames(viewer);
    else if (viewer->ticks == SOON)
        soup_websocket_connection_close(viewer->connection, 1011, "the desktop restarts");
}

/* Without a goodbye of any kind, as when a cable is drawn. */
static void then_cut(Viewer *viewer)
{
    if (viewer->ticks < SOON)
        send_frames(viewer);
    else
        _exit(0);
}

static void close_now(Viewer *viewer)
{
    soup_websocket_connection_close(viewer->connection, 1011, "no encoder");
}

static void answer_and_close(Viewer *viewer)
{
    answer(viewer);
    close_now(viewer);
}

static const Session sessions[] = {
    {"ses_good", begin, send_frames}, {"ses_error", begin, then_error},
    {"ses_close", begin, then_close}, {"ses_cut", begin, then_cut},
    {"ses_asleep", close_now, NULL},  {"ses_blind", answer_and_close, NULL},
};

static const struct {
    const char *id;
    guint status;
} refusals[] = {{"ses_moved", 302}, {"ses_others", 403}, {"ses_down", 502},
                {"ses_late", 504},  {"ses_broken", 500}, {"ses_page", 200}};

/* --- its viewers --------------------------------------------------------------------------------
 */

static gboolean on_tick(void *data)
{
    Viewer *viewer = data;
    if (soup_websocket_connection_get_state(viewer->connection) != SOUP_WEBSOCKET_STATE_OPEN)
        return G_SOURCE_CONTINUE;
    viewer->session->tick(viewer);
    viewer->ticks++;
    return G_SOURCE_CONTINUE;
}

static void on_message(SoupWebsocketConnection *connection, int type, GBytes *bytes, void *data)
{
    Viewer *viewer = data;
    gsize size;
    const char *message = g_bytes_get_data(bytes, &size);
    HxStreamMessage binary;
    if (type == SOUP_WEBSOCKET_DATA_TEXT) {
        say("init %.*s", (int)size, message);
        viewer->session->begin(viewer);
        if (viewer->session->tick)
            viewer->timer = g_timeout_add(INTERVAL_MS, on_tick, viewer);
    } else if (hx_stream_decode(message, size, &binary, NULL) && binary.type == HX_STREAM_PING) {
        HxStreamPong pong = {.sequence = binary.ping.sequence,
                             .client_time_us = binary.ping.client_time_us,
                             .encoder_latency_ms = 12};
        send_binary(viewer->connection, hx_stream_encode_pong(&pong));
    }
}

static void on_pong(SoupWebsocketConnection *connection, GBytes *bytes, void *data)
{
    say("pong");
}

static void on_closed(SoupWebsocketConnection *connection, void *data)
{
    Viewer *viewer = data;
    say("closed");
    g_clear_handle_id(&viewer->timer, g_source_remove);
}

/* The part of @path that is a session's id; for g_free. */
static char *session_of(const char *path)
{
    const char *rest = g_str_has_prefix(path, AGENTS "/") ? path + strlen(AGENTS "/") : "";
    g_auto(GStrv) parts = g_strsplit(rest, "/", 2);
    return g_strdup(g_strcmp0(parts[0] ? parts[1] : NULL, "ws/stream") == 0 ? parts[0] : "");
}

static const Session *find_session(const char *path)
{
    g_autofree char *id = session_of(path);
    for (gsize i = 0; i < G_N_ELEMENTS(sessions); i++)
        if (g_str_equal(id, sessions[i].id))
            return &sessions[i];
    return NULL;
}

static void on_websocket(SoupServer *soup, SoupServerMessage *message, const char *path,
                         SoupWebsocketConnection *connection, void *data)
{
    Viewer *viewer = g_new0(Viewer, 1); /* the process ends with the test */
    viewer->connection = g_object_ref(connection);
    viewer->session = find_session(path);
    soup_websocket_connection_set_keepalive_interval(connection, 1);
    g_signal_connect(connection, "message", G_CALLBACK(on_message), viewer);
    g_signal_connect(connection, "pong", G_CALLBACK(on_pong), viewer);
    g_signal_connect(connection, "closed", G_CALLBACK(on_closed), viewer);
}

/* --- its door -----------------------------------------------------------------------------------
 */

static guint refusal_of(const char *path)
{
    g_autofree char *id = session_of(path);
    for (gsize i = 0; i < G_N_ELEMENTS(refusals); i++)
        if (g_str_equal(id, refusals[i].id))
            return refusals[i].status;
    return find_session(path) ? 0 : 404;
}

static void on_request(SoupServer *soup, SoupServerMessage *message, const char *path,
                       GHashTable *query, void *data)
{
    SoupMessageHeaders *headers = soup_server_message_get_request_headers(message);
    const char *given = soup_message_headers_get_one(headers, "Authorization");
    g_autofree char *wanted = g_strconcat("Bearer ", key, NULL);
    guint status = g_strcmp0(given, wanted) == 0 ? refusal_of(path) : 401;
    say("request %s %u", path, status);
    if (status)
        soup_server_message_set_status(message, status, NULL);
    /* With the key in it, as a careless server might. */
    g_autofree char *elsewhere = g_strconcat("https://elsewhere.invalid/?key=", key, NULL);
    if (status == 302)
        soup_message_headers_append(soup_server_message_get_response_headers(message), "Location",
                                    elsewhere);
}

static void on_input(GObject *stream, GAsyncResult *result, void *data)
{
    g_main_loop_quit(loop);
}

int main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    g_file_get_contents(argv[1], &key, NULL, &error);
    g_assert_no_error(error);
    g_strchomp(key);
    endless_frames_make(GROUPS);
    g_autoptr(SoupServer) soup = soup_server_new(NULL, NULL);
    if (argc > 2) {
        g_autoptr(GTlsCertificate) certificate = g_tls_certificate_new_from_file(argv[2], &error);
        g_assert_no_error(error);
        soup_server_set_tls_certificate(soup, certificate);
    }
    soup_server_add_early_handler(soup, AGENTS, on_request, NULL, NULL);
    soup_server_add_websocket_handler(soup, AGENTS, NULL, NULL, on_websocket, NULL, NULL);
    g_autoptr(GSocketAddress) address = g_inet_socket_address_new_from_string("127.0.0.1", 0);
    soup_server_listen(soup, address, argc > 2 ? SOUP_SERVER_LISTEN_HTTPS : 0, &error);
    g_assert_no_error(error);
    GSList *uris = soup_server_get_uris(soup);
    say("%d", g_uri_get_port(uris->data));
    g_slist_free_full(uris, (GDestroyNotify)g_uri_unref);
    loop = g_main_loop_new(NULL, FALSE);
    g_autoptr(GInputStream) input = g_unix_input_stream_new(STDIN_FILENO, FALSE);
    char byte;
    g_input_stream_read_async(input, &byte, 1, 0, NULL, on_input, NULL);
    g_main_loop_run(loop);
    return 0;
}
