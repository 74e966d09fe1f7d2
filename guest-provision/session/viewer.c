/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Theory of operation.  libsoup queues without bound what it is given, so frames wait here instead,
 * up to QUEUE_MAX bytes.  They are handed over one at a time by a source that is ready when the
 * socket takes more and that has a lower priority than libsoup's own: when it runs, libsoup has
 * nothing left to write, and so never holds more than one frame.
 *
 *   CONNECTED ──init──▶ WAITING ──keyframe──▶ STREAMING ◀──init and replay── CONNECTED
 *                          ▲                   │     ▲
 *                   socket takes more      queue full│keyframe
 *                          │                   ▼     │
 *                          └───────────────── BEHIND ┘
 *
 * One that is BEHIND asks for no keyframe before its socket takes more: a viewer that has stopped
 * reading would otherwise cost all others a keyframe each time that its queue fills. */
#include "guest-provision/session/viewer.h"

/* Bytes; about a second of a lively picture. */
enum { QUEUE_MAX = 4 * 1024 * 1024 };
/* s */
enum { INIT_TIME = 10, PING_INTERVAL = 5, PONG_TIME = 15 };
/* Text and binary messages of viewers are small. */
enum { INCOMING_MAX = 32 * 1024 };

typedef enum { CONNECTED, WAITING, STREAMING, BEHIND, FAILED } State;

struct SessionViewer {
    SoupWebsocketConnection *socket;
    SessionViewerEvents events;
    State state;
    gboolean joined;
    SessionWish wish;
    GQueue frames; /* GBytes */
    gsize queued;  /* bytes in frames */
    guint64 dropped;
    GSource *flush_source;
    guint init_timeout;
};

static gboolean is_open(const SessionViewer *viewer)
{
    return soup_websocket_connection_get_state(viewer->socket) == SOUP_WEBSOCKET_STATE_OPEN;
}

static void send_text(SessionViewer *viewer, const char *text)
{
    if (is_open(viewer))
        soup_websocket_connection_send_text(viewer->socket, text);
}

static void send_binary(SessionViewer *viewer, GBytes *message)
{
    if (is_open(viewer))
        soup_websocket_connection_send_message(viewer->socket, SOUP_WEBSOCKET_DATA_BINARY, message);
}

/* --- frames ------------------------------------------------------------------------------------
 */

static void stop_flushing(SessionViewer *viewer)
{
    if (viewer->flush_source)
        g_source_destroy(viewer->flush_source);
    g_clear_pointer(&viewer->flush_source, g_source_unref);
}

static gboolean flush_one(GObject *stream, void *data)
{
    SessionViewer *viewer = data;
    g_autoptr(GBytes) message = g_queue_pop_head(&viewer->frames);
    if (g_queue_is_empty(&viewer->frames))
        stop_flushing(viewer);
    if (message) {
        viewer->queued -= g_bytes_get_size(message);
        send_binary(viewer, message);
    } else if (viewer->state == BEHIND) {
        viewer->state = WAITING;
        viewer->events.needs_keyframe(viewer, viewer->events.data);
    }
    return G_SOURCE_CONTINUE; /* as far as it was not destroyed */
}

static void start_flushing(SessionViewer *viewer)
{
    GIOStream *stream = soup_websocket_connection_get_io_stream(viewer->socket);
    if (viewer->flush_source || !stream || !is_open(viewer))
        return;
    GPollableOutputStream *output = G_POLLABLE_OUTPUT_STREAM(g_io_stream_get_output_stream(stream));
    viewer->flush_source = g_pollable_output_stream_create_source(output, NULL);
    g_source_set_priority(viewer->flush_source, G_PRIORITY_DEFAULT_IDLE);
    g_source_set_callback(viewer->flush_source, G_SOURCE_FUNC(flush_one), viewer, NULL);
    g_source_attach(viewer->flush_source, NULL);
}

static void drop_queue(SessionViewer *viewer)
{
    viewer->dropped += g_queue_get_length(&viewer->frames);
    g_queue_clear_full(&viewer->frames, (GDestroyNotify)g_bytes_unref);
    viewer->queued = 0;
    stop_flushing(viewer);
}

static void enqueue(SessionViewer *viewer, GBytes *message)
{
    g_queue_push_tail(&viewer->frames, g_bytes_ref(message));
    viewer->queued += g_bytes_get_size(message);
    start_flushing(viewer);
}

static void replay(SessionViewer *viewer, const SessionGop *gop)
{
    for (guint i = 0; i < session_gop_size(gop); i++) {
        g_autoptr(GBytes) message = session_gop_replay(gop, i);
        enqueue(viewer, message);
    }
}

void session_viewer_send_frame(SessionViewer *viewer, GBytes *message, gboolean is_keyframe)
{
    if (viewer->state == CONNECTED || viewer->state == FAILED)
        return;
    if (viewer->queued + g_bytes_get_size(message) > QUEUE_MAX) {
        drop_queue(viewer);
        viewer->state = BEHIND;
        start_flushing(viewer);
    }
    if (viewer->state != STREAMING && !is_keyframe) {
        viewer->dropped++;
        return;
    }
    viewer->state = STREAMING;
    enqueue(viewer, message);
}

/* --- messages ----------------------------------------------------------------------------------
 */

static void stop_waiting_for_init(SessionViewer *viewer)
{
    g_clear_handle_id(&viewer->init_timeout, g_source_remove);
}

static void on_text(SessionViewer *viewer, const char *text, gsize size)
{
    g_auto(HxStreamRequest) request = {0};
    g_autoptr(GError) error = NULL;
    /* Later texts are input and settings, which this session does not take. */
    if (viewer->state != CONNECTED)
        return;
    if (hx_stream_request_parse(text, size, &request, &error)) {
        stop_waiting_for_init(viewer);
        viewer->wish = (SessionWish){.fps = request.fps, .bitrate = request.bitrate_kbit};
        viewer->events.joined(viewer, &request, viewer->events.data);
    } else {
        session_viewer_fail(viewer, error->message);
    }
}

static void on_binary(SessionViewer *viewer, const guint8 *data, gsize size)
{
    HxStreamMessage message;
    g_autoptr(GError) error = NULL;
    /* Others are input, which this session does not take. */
    if (!size || *data != HX_STREAM_PING)
        return;
    if (!hx_stream_decode(data, size, &message, &error)) {
        session_viewer_fail(viewer, error->message);
        return;
    }
    HxStreamPong pong = {.sequence = message.ping.sequence,
                         .client_time_us = message.ping.client_time_us,
                         .server_time_us = (guint64)g_get_real_time(),
                         .encoder_latency_ms = viewer->events.encoder_latency(viewer->events.data)};
    g_autoptr(GBytes) answer = hx_stream_encode_pong(&pong);
    send_binary(viewer, answer);
}

static void on_message(SoupWebsocketConnection *socket, SoupWebsocketDataType type, GBytes *message,
                       void *data)
{
    gsize size;
    const void *bytes = g_bytes_get_data(message, &size);
    if (((SessionViewer *)data)->state == FAILED)
        return;
    if (type == SOUP_WEBSOCKET_DATA_TEXT)
        on_text(data, bytes, size);
    else
        on_binary(data, bytes, size);
}

static void on_closed(SoupWebsocketConnection *socket, void *data)
{
    SessionViewer *viewer = data;
    viewer->events.left(viewer, viewer->events.data);
}

/* libsoup, whose pong timeout is told by this, says goodbye first, and waits for ever where the
 * socket of a viewer that hangs does not take it. */
static void on_error(SoupWebsocketConnection *connection, GError *error, void *data)
{
    g_autoptr(GIOStream) stream = NULL;
    GObject *wrapper = G_OBJECT(soup_websocket_connection_get_io_stream(connection));
    g_message("a viewer: %s", error->message);
    /* SoupIOStream, which is libsoup's own. */
    if (g_object_class_find_property(G_OBJECT_GET_CLASS(wrapper), "base-iostream"))
        g_object_get(wrapper, "base-iostream", &stream, NULL);
    if (G_IS_SOCKET_CONNECTION(stream))
        g_socket_shutdown(g_socket_connection_get_socket(G_SOCKET_CONNECTION(stream)), TRUE, TRUE,
                          NULL);
}

static gboolean no_init(void *data)
{
    SessionViewer *viewer = data;
    viewer->init_timeout = 0;
    session_viewer_fail(viewer, "no init message came");
    return G_SOURCE_REMOVE;
}

void session_viewer_welcome(SessionViewer *viewer, const HxStreamInit *init, const SessionGop *gop)
{
    g_autofree char *complete = hx_stream_complete_build(init->width, init->height);
    g_autoptr(GBytes) message = hx_stream_encode_init(init);
    send_text(viewer, complete);
    send_binary(viewer, message);
    viewer->joined = TRUE;
    viewer->state = session_gop_size(gop) ? STREAMING : WAITING;
    replay(viewer, gop);
    if (viewer->state == WAITING)
        viewer->events.needs_keyframe(viewer, viewer->events.data);
}

void session_viewer_tell(SessionViewer *viewer, const char *text)
{
    if (viewer->joined && viewer->state != FAILED)
        send_text(viewer, text);
}

SessionWish session_viewer_wish(const SessionViewer *viewer)
{
    return viewer->wish;
}

gboolean session_viewer_has_joined(const SessionViewer *viewer)
{
    return viewer->joined;
}

void session_viewer_fail(SessionViewer *viewer, const char *reason)
{
    if (viewer->state == FAILED)
        return;
    viewer->state = FAILED;
    stop_waiting_for_init(viewer);
    drop_queue(viewer);
    g_autoptr(GBytes) message = hx_stream_encode_error(reason);
    send_binary(viewer, message);
    if (is_open(viewer))
        soup_websocket_connection_close(viewer->socket, SOUP_WEBSOCKET_CLOSE_GOING_AWAY, NULL);
}

guint64 session_viewer_dropped(const SessionViewer *viewer)
{
    return viewer->dropped;
}

SessionViewer *session_viewer_new(SoupWebsocketConnection *socket,
                                  const SessionViewerEvents *events)
{
    SessionViewer *viewer = g_new0(SessionViewer, 1);
    viewer->socket = g_object_ref(socket);
    viewer->events = *events;
    g_queue_init(&viewer->frames);
    soup_websocket_connection_set_max_incoming_payload_size(socket, INCOMING_MAX);
    soup_websocket_connection_set_keepalive_interval(socket, PING_INTERVAL);
#if SOUP_CHECK_VERSION(3, 6, 0)
    /* An older one never misses an answer: a viewer that hangs goes when its connection does. */
    soup_websocket_connection_set_keepalive_pong_timeout(socket, PONG_TIME);
#endif
    g_signal_connect(socket, "message", G_CALLBACK(on_message), viewer);
    g_signal_connect(socket, "error", G_CALLBACK(on_error), viewer);
    g_signal_connect(socket, "closed", G_CALLBACK(on_closed), viewer);
    viewer->init_timeout = g_timeout_add_seconds(INIT_TIME, no_init, viewer);
    return viewer;
}

void session_viewer_free(SessionViewer *viewer)
{
    if (!viewer)
        return;
    g_signal_handlers_disconnect_by_data(viewer->socket, viewer);
    stop_waiting_for_init(viewer);
    drop_queue(viewer);
    if (is_open(viewer))
        soup_websocket_connection_close(viewer->socket, SOUP_WEBSOCKET_CLOSE_NORMAL, NULL);
    g_object_unref(viewer->socket);
    g_free(viewer);
}
