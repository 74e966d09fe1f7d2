/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What `helixvm view` serves, of a session that is here: view-host PAGE, for tests/unit/view.t.
 *
 * It prints the link, and a line for what viewers do.  Each picture is of one grey, which changes
 * from one to the next.  Lines of its standard input: "error TEXT" sends a StreamError and ends the
 * streams, "close" ends them, "absent TEXT" lets nobody connect, who is told TEXT, "present" does,
 * "noise" sends what no page can read, "silent" lets who connects wait, "browser" opens the user's
 * browser.  It ends with its standard input. */
#include <gio/gunixinputstream.h>
#include <libsoup/soup.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/view-browser.h"
#include "cli/view-server.h"
#include "launcher/base/error.h"
#include "launcher/base/pause.h"
#include "tests/fakes/endless-frames.h"

#define GROUPS 2
#define INTERVAL_MS 40
#define STATISTICS                                                                                 \
    "{\"session\":\"desktop\",\"source\":\"pixels\",\"gl_renderer\":\"<b>virgl</b>\","             \
    "\"fallback_reason\":\"no <i>module</i>\"}"

typedef struct {
    SoupWebsocketConnection *connection;
    guint64 next; /* frame */
    gboolean joined;
} Viewer;

static HxViewServer *server;
static HxViewBrowser *browser;
static SoupServer *session;
static GPtrArray *viewers; /* Viewer */
static gint silent;        /* atomic: who connects waits, until it is cancelled */
static GMutex lock;
static char *absent; /* under the lock: why nobody connects; NULL: who wants does */

/* --- the session --------------------------------------------------------------------------------
 */

/* One frame, or, every fifth time, two at once. */
static gboolean send_frames(void *data)
{
    for (guint i = 0; i < viewers->len; i++) {
        Viewer *viewer = viewers->pdata[i];
        if (!viewer->joined)
            continue;
        HxStreamFrame frames[2] = {endless_frame(viewer->next++, INTERVAL_MS)};
        gboolean two = viewer->next % 5 == 0;
        if (two)
            frames[1] = endless_frame(viewer->next++, INTERVAL_MS);
        send_binary(viewer->connection,
                    two ? hx_stream_encode_batch(frames, 2) : hx_stream_encode_frame(frames));
    }
    return G_SOURCE_CONTINUE;
}

static void on_message(SoupWebsocketConnection *connection, int type, GBytes *bytes, void *data)
{
    Viewer *viewer = data;
    gsize size;
    const char *message = g_bytes_get_data(bytes, &size);
    HxStreamMessage binary;
    if (type == SOUP_WEBSOCKET_DATA_TEXT) {
        g_auto(HxStreamRequest) request = {0};
        if (!hx_stream_request_parse(message, size, &request, NULL))
            return;
        say("joined %s", request.session_id);
        g_autofree char *complete = hx_stream_complete_build(PICTURE_WIDTH, PICTURE_HEIGHT);
        soup_websocket_connection_send_text(connection, complete);
        send_binary(viewer->connection, g_bytes_new_static("\x50 a cursor", 10));
        viewer->joined = TRUE;
    } else if (hx_stream_decode(message, size, &binary, NULL) && binary.type == HX_STREAM_PING) {
        HxStreamPong pong = {.sequence = binary.ping.sequence,
                             .client_time_us = binary.ping.client_time_us,
                             .encoder_latency_ms = 12};
        send_binary(viewer->connection, hx_stream_encode_pong(&pong));
    }
}

static void on_closed(SoupWebsocketConnection *connection, void *data)
{
    say("left");
    g_ptr_array_remove_fast(viewers, data);
}

static void viewer_free(void *data)
{
    Viewer *viewer = data;
    g_signal_handlers_disconnect_by_data(viewer->connection, viewer);
    g_object_unref(viewer->connection);
    g_free(viewer);
}

static void on_websocket(SoupServer *soup, SoupServerMessage *message, const char *path,
                         SoupWebsocketConnection *connection, void *data)
{
    Viewer *viewer = g_new0(Viewer, 1);
    viewer->connection = g_object_ref(connection);
    g_ptr_array_add(viewers, viewer);
    g_signal_connect(connection, "message", G_CALLBACK(on_message), viewer);
    g_signal_connect(connection, "closed", G_CALLBACK(on_closed), viewer);
}

static void on_get(SoupServer *soup, SoupServerMessage *message, const char *path,
                   GHashTable *query, void *data)
{
    soup_server_message_set_response(message, "application/json", SOUP_MEMORY_STATIC, STATISTICS,
                                     strlen(STATISTICS));
    soup_server_message_set_status(message, SOUP_STATUS_OK, NULL);
}

static void make_session(void)
{
    endless_frames_make(GROUPS);
    viewers = g_ptr_array_new_with_free_func(viewer_free);
    session = soup_server_new(NULL, NULL);
    soup_server_add_websocket_handler(session, "/ws/stream", NULL, NULL, on_websocket, NULL, NULL);
    soup_server_add_handler(session, "/statistics", on_get, NULL, NULL);
    g_timeout_add(INTERVAL_MS, send_frames, NULL);
}

/* --- the way to it ------------------------------------------------------------------------------
 */

static gboolean accept_end(void *data)
{
    g_autoptr(GSocket) socket = g_socket_new_from_fd(GPOINTER_TO_INT(data), NULL);
    g_autoptr(GSocketConnection) stream = g_socket_connection_factory_create_connection(socket);
    g_autoptr(GSocketAddress) nobody = g_inet_socket_address_new_from_string("127.0.0.1", 0);
    soup_server_accept_iostream(session, G_IO_STREAM(stream), nobody, nobody, NULL);
    return G_SOURCE_REMOVE;
}

static int connect_session(void *data, GCancellable *cancel, GError **error)
{
    int ends[2];
    if (g_atomic_int_get(&silent)) {
        say("waits");
        hx_pause(60 * 1000, cancel);
    }
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&lock);
    if (absent) {
        g_set_error_literal(error, HX_ERROR, HX_ERROR_NOT_RUNNING, absent);
        return -1;
    }
    g_assert_no_errno(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
    g_idle_add(accept_end, GINT_TO_POINTER(ends[1]));
    return ends[0];
}

/* --- what the test wants ------------------------------------------------------------------------
 */

static void set_absent(const char *reason)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&lock);
    g_free(absent);
    absent = g_strdup(reason);
}

static void end_streams(GBytes *last)
{
    for (guint i = 0; i < viewers->len; i++) {
        Viewer *viewer = viewers->pdata[i];
        viewer->joined = FALSE;
        if (last)
            send_binary(viewer->connection, g_bytes_ref(last));
        soup_websocket_connection_close(viewer->connection, 1011, NULL);
    }
}

static void open_browser(void)
{
    g_autoptr(GError) error = NULL;
    if (!hx_view_browser_is_there()) {
        say("no browser");
        return;
    }
    browser = hx_view_browser_open(hx_view_server_link(server), &error);
    say("browser: %s", error ? error->message : "opened");
}

static void obey(const char *line)
{
    if (g_str_equal(line, "browser")) {
        open_browser();
        return;
    }
    if (g_str_equal(line, "silent")) {
        g_atomic_int_set(&silent, TRUE);
        say("silent");
        return;
    }
    g_autoptr(GBytes) bytes = NULL;
    if (g_str_has_prefix(line, "error "))
        bytes = hx_stream_encode_error(line + strlen("error "));
    if (g_str_equal(line, "noise"))
        bytes = g_bytes_new_static("\x03\xff\xff", 3);
    if (bytes || g_str_equal(line, "close"))
        end_streams(bytes);
    else
        set_absent(g_str_has_prefix(line, "absent ") ? line + strlen("absent ") : NULL);
}

static void read_line(GObject *stream, GAsyncResult *result, void *loop)
{
    g_autofree char *line =
        g_data_input_stream_read_line_finish(G_DATA_INPUT_STREAM(stream), result, NULL, NULL);
    if (!line) {
        g_main_loop_quit(loop);
        return;
    }
    obey(line);
    g_data_input_stream_read_line_async(G_DATA_INPUT_STREAM(stream), 0, NULL, read_line, loop);
}

int main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *page = NULL;
    g_file_get_contents(argv[1], &page, NULL, &error);
    g_assert_no_error(error);
    make_session();
    const HxViewSource source = {
        .vm = "a & <b>", .session = "desktop", .page = page, .connect = connect_session};
    server = hx_view_server_new(&source, &error);
    g_assert_no_error(error);
    say("%s", hx_view_server_link(server));
    g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
    g_autoptr(GInputStream) input = g_unix_input_stream_new(STDIN_FILENO, FALSE);
    g_autoptr(GDataInputStream) lines = g_data_input_stream_new(input);
    g_data_input_stream_read_line_async(lines, 0, NULL, read_line, loop);
    g_main_loop_run(loop);
    hx_view_browser_free(browser);
    hx_view_server_free(server);
    return 0;
}
