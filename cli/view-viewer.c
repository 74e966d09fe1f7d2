/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Theory of operation.  The browser waits for its handshake while a thread connects to the session
 * and makes the other one, by libcurl.  Then the browser's connection is taken from libsoup, and
 * two splices pass bytes on, one each way, holding no more than a buffer each.
 *
 *   OPENING ──session's handshake──▶ ANSWERING ──browser's──▶ PASSING ──one side ends──▶ gone
 *      └──────── failed ───────────▶ ANSWERING ──browser's──▶ REFUSING ──it has read why──▶ gone
 */
#include "cli/view-viewer.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "cli/stream-connection.h"
#include "guest-provision/session/stream-protocol.h"
#include "launcher/base/error.h"

#define CONNECT_SECONDS 20

struct HxViewViewer {
    SoupServerMessage *message; /* NULL once the browser's connection is ours, or it went away */
    gboolean opening;           /* a thread connects to the session */
    HxViewConnect connect;
    void *data;
    GCancellable *cancel; /* this viewer's */
    GCancellable *all;    /* the server's, which cancels it */
    gulong chained;
    void (*gone)(void *);
    void *gone_data;
    HxStreamConnection *session; /* keeps its socket open */
    char *refusal;               /* why there is none */
    GIOStream *browser, *stream;
    guint passing; /* splices that go on */
    SoupWebsocketConnection *refused;
};

static void viewer_end(HxViewViewer *viewer)
{
    if (viewer->message)
        g_signal_handlers_disconnect_by_data(viewer->message, viewer);
    g_clear_object(&viewer->message);
    if (viewer->refused)
        g_signal_handlers_disconnect_by_data(viewer->refused, viewer);
    g_clear_object(&viewer->refused);
    if (viewer->browser)
        g_io_stream_close(viewer->browser, NULL, NULL);
    g_clear_object(&viewer->browser);
    g_clear_object(&viewer->stream);
    g_clear_pointer(&viewer->session, hx_stream_connection_free);
    g_cancellable_disconnect(viewer->all, viewer->chained);
    g_object_unref(viewer->all);
    g_object_unref(viewer->cancel);
    g_free(viewer->refusal);
    void (*gone)(void *) = viewer->gone;
    void *gone_data = viewer->gone_data;
    g_free(viewer);
    gone(gone_data);
}

/* --- passing on ---------------------------------------------------------------------------------
 */

/* What one side has sent to its end is passed on; the other has nothing to add that anybody reads.
 */
static void passed(GObject *to, GAsyncResult *result, void *data)
{
    HxViewViewer *viewer = data;
    g_output_stream_splice_finish(G_OUTPUT_STREAM(to), result, NULL);
    g_cancellable_cancel(viewer->cancel);
    if (--viewer->passing == 0)
        viewer_end(viewer);
}

static void pass(HxViewViewer *viewer, GIOStream *from, GIOStream *to)
{
    viewer->passing++;
    g_output_stream_splice_async(g_io_stream_get_output_stream(to),
                                 g_io_stream_get_input_stream(from), G_OUTPUT_STREAM_SPLICE_NONE,
                                 G_PRIORITY_DEFAULT, viewer->cancel, passed, viewer);
}

/* --- refusing -----------------------------------------------------------------------------------
 */

static gboolean end_later(void *data)
{
    viewer_end(data);
    return G_SOURCE_REMOVE;
}

static void refusal_ended(void *anything, void *data)
{
    HxViewViewer *viewer = data;
    g_signal_handlers_disconnect_by_data(viewer->refused, viewer);
    g_idle_add(end_later, viewer);
}

static void refuse(HxViewViewer *viewer, GUri *uri)
{
    viewer->refused = soup_websocket_connection_new(
        viewer->browser, uri, SOUP_WEBSOCKET_CONNECTION_SERVER, NULL, NULL, NULL);
    g_signal_connect(viewer->refused, "closed", G_CALLBACK(refusal_ended), viewer);
    g_autoptr(GBytes) bytes = hx_stream_encode_error(viewer->refusal);
    soup_websocket_connection_send_message(viewer->refused, SOUP_WEBSOCKET_DATA_BINARY, bytes);
    soup_websocket_connection_close(viewer->refused, SOUP_WEBSOCKET_CLOSE_SERVER_ERROR, NULL);
}

/* --- the two handshakes -------------------------------------------------------------------------
 */

/* The browser has its answer: from here on its connection is no HTTP. */
static void browser_joined(SoupServerMessage *message, void *data)
{
    HxViewViewer *viewer = data;
    g_signal_handlers_disconnect_by_data(message, viewer);
    g_autoptr(GUri) uri = g_uri_ref(soup_server_message_get_uri(message));
    /* What comes is sent on at once: an answer to a ping waits for no acknowledgement. */
    g_socket_set_option(soup_server_message_get_socket(message), IPPROTO_TCP, TCP_NODELAY, 1, NULL);
    viewer->browser = soup_server_message_steal_connection(message);
    g_clear_object(&viewer->message);
    if (viewer->refusal) {
        refuse(viewer, uri);
        return;
    }
    pass(viewer, viewer->stream, viewer->browser);
    pass(viewer, viewer->browser, viewer->stream);
}

/* It went away before. */
static void browser_left(SoupServerMessage *message, void *data)
{
    HxViewViewer *viewer = data;
    g_signal_handlers_disconnect_by_data(message, viewer);
    g_clear_object(&viewer->message);
    if (viewer->opening)
        g_cancellable_cancel(viewer->cancel);
    else
        g_idle_add(end_later, viewer);
}

static GIOStream *stream_of(HxStreamConnection *session, GError **error)
{
    curl_socket_t fd = CURL_SOCKET_BAD;
    curl_easy_getinfo(hx_stream_connection_curl(session), CURLINFO_ACTIVESOCKET, &fd);
    int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (own < 0) {
        hx_set_error_errno(error, HX_ERROR_HOST, errno, "the connection to the session");
        return NULL;
    }
    g_autoptr(GSocket) socket = g_socket_new_from_fd(own, error);
    if (!socket) {
        close(own);
        return NULL;
    }
    return G_IO_STREAM(g_socket_connection_factory_create_connection(socket));
}

static void session_joined(GObject *nothing, GAsyncResult *result, void *data)
{
    HxViewViewer *viewer = data;
    g_autoptr(GError) error = NULL;
    viewer->session = g_task_propagate_pointer(G_TASK(result), &error);
    viewer->opening = FALSE;
    if (!viewer->message) {
        viewer_end(viewer);
        return;
    }
    if (viewer->session)
        viewer->stream = stream_of(viewer->session, &error);
    if (error)
        viewer->refusal = g_strdup(error->message);
    g_signal_connect(viewer->message, "wrote-informational", G_CALLBACK(browser_joined), viewer);
    /* Where that is no handshake, it has set the status that says so. */
    soup_websocket_server_process_handshake(viewer->message, NULL, NULL, NULL, NULL);
    soup_server_message_unpause(viewer->message);
}

static void join_session(GTask *task, void *nothing, void *data, GCancellable *cancel)
{
    const HxViewViewer *viewer = data;
    GError *error = NULL;
    int fd = viewer->connect(viewer->data, cancel, &error);
    g_autoptr(HxStreamConnection) session =
        fd >= 0 ? hx_stream_connection_on(fd, "ws", "/ws/stream", cancel, &error) : NULL;
    if (session)
        curl_easy_setopt(hx_stream_connection_curl(session), CURLOPT_CONNECT_ONLY, 2L);
    if (session && hx_stream_connection_perform(session, CONNECT_SECONDS, &error))
        g_task_return_pointer(task, g_steal_pointer(&session),
                              (GDestroyNotify)hx_stream_connection_free);
    else
        g_task_return_error(task, error);
}

static void cancel_too(GCancellable *all, void *own)
{
    g_cancellable_cancel(own);
}

void hx_view_viewer_start(SoupServerMessage *message, HxViewConnect connect, void *data,
                          GCancellable *cancel, void (*gone)(void *), void *gone_data)
{
    HxViewViewer *viewer = g_new0(HxViewViewer, 1);
    viewer->message = g_object_ref(message);
    viewer->opening = TRUE;
    /* The one where it cannot be answered, the other where the server is at its end. */
    g_signal_connect(message, "finished", G_CALLBACK(browser_left), viewer);
    g_signal_connect(message, "disconnected", G_CALLBACK(browser_left), viewer);
    viewer->connect = connect;
    viewer->data = data;
    viewer->gone = gone;
    viewer->gone_data = gone_data;
    viewer->all = g_object_ref(cancel);
    viewer->cancel = g_cancellable_new();
    viewer->chained = g_cancellable_connect(cancel, G_CALLBACK(cancel_too), viewer->cancel, NULL);
    soup_server_message_pause(message);
    g_autoptr(GTask) task = g_task_new(NULL, viewer->cancel, session_joined, viewer);
    g_task_set_task_data(task, viewer, NULL);
    g_task_run_in_thread(task, join_session);
}
