/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Theory of operation.  libcurl makes the WebSocket handshake (cli/stream-connection.h).  From then
 * on its socket does not block: hx_stream_client_next takes chunks until libcurl has none
 * (CURLE_AGAIN), then waits in poll(2) for the socket, the cancellable, the next ping or the
 * caller's time.  Chunks are gathered into one message, which lives until the next call; of a batch
 * one frame is handed out a call. */
#include "cli/stream-client.h"

#include <poll.h>
#include <string.h>

#include "cli/stream-connection.h"
#include "launcher/base/deadline.h"
#include "launcher/base/error.h"

#define PING_INTERVAL G_USEC_PER_SEC
#define PINGS_REMEMBERED 16
#define SEND_TIMEOUT_MS 5000
#define CHUNK (128 * 1024)
#define BODY_MAX (1024 * 1024)

struct HxStreamClient {
    HxStreamConnection *connection;
    CURL *curl; /* its own */
    int fd;     /* libcurl's, to poll; -1: there was none */
    GCancellable *cancel;
    GByteArray *message; /* what has come of the current one */
    gboolean whole;      /* message was handed out: begin the next */
    HxStreamBatch batch;
    HxStreamSource source; /* what was told last */
    guint32 ping_sequence; /* of the next */
    gint64 ping_due;
    gint64 waited;                       /* µs */
    gint64 ping_times[PINGS_REMEMBERED]; /* by sequence; 0: answered */
    char chunk[CHUNK];
};

/* --- one question -------------------------------------------------------------------------------
 */

static size_t keep_body(char *bytes, size_t size, size_t count, void *data)
{
    GString *body = data;
    if (body->len + size * count > BODY_MAX)
        return 0;
    g_string_append_len(body, bytes, size * count);
    return size * count;
}

char *hx_stream_get(int fd, const char *path, guint timeout, GCancellable *cancel, GError **error)
{
    g_autoptr(HxStreamConnection) connection =
        hx_stream_connection_on(fd, "http", path, cancel, error);
    if (!connection)
        return NULL;
    g_autoptr(GString) body = g_string_new(NULL);
    CURL *curl = hx_stream_connection_curl(connection);
    curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, keep_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, body);
    return hx_stream_connection_perform(connection, timeout, error)
               ? g_string_free(g_steal_pointer(&body), FALSE)
               : NULL;
}

/* --- sending ------------------------------------------------------------------------------------
 */

/* Messages of a viewer are small: a socket that takes none for seconds is broken. */
static gboolean send_message(HxStreamClient *client, const void *data, size_t size,
                             unsigned int kind, GError **error)
{
    const char *next = data;
    gint64 deadline = g_get_monotonic_time() + SEND_TIMEOUT_MS * 1000;
    for (;;) {
        size_t sent = 0;
        CURLcode result = curl_ws_send(client->curl, next, size, &sent, 0, kind);
        next += sent;
        size -= MIN(sent, size);
        if (result == CURLE_OK && size == 0)
            return TRUE;
        int left = (deadline - g_get_monotonic_time()) / 1000;
        struct pollfd fd = {.fd = client->fd, .events = POLLOUT};
        if ((result == CURLE_OK || result == CURLE_AGAIN) && left > 0 && poll(&fd, 1, left) >= 0)
            continue;
        g_set_error(error, HX_ERROR, HX_ERROR_CONNECTION, "cannot send to the session: %s",
                    curl_easy_strerror(result));
        return FALSE;
    }
}

static gboolean send_ping(HxStreamClient *client, gint64 now, GError **error)
{
    HxStreamPing ping = {.sequence = client->ping_sequence++, .client_time_us = now};
    client->ping_times[ping.sequence % PINGS_REMEMBERED] = now;
    client->ping_due = now + PING_INTERVAL;
    g_autoptr(GBytes) bytes = hx_stream_encode_ping(&ping);
    gsize size;
    const void *data = g_bytes_get_data(bytes, &size);
    return send_message(client, data, size, CURLWS_BINARY, error);
}

/* --- receiving ----------------------------------------------------------------------------------
 */

static gboolean closed(HxStreamClient *client, const char *bytes, size_t size, GError **error)
{
    /* RFC 6455, 5.5.1: a code, then a reason. */
    unsigned int code = size >= 2 ? (guint8)bytes[0] << 8 | (guint8)bytes[1] : 1005;
    g_autofree char *reason = size > 2 ? g_utf8_make_valid(bytes + 2, size - 2) : NULL;
    g_set_error(error, HX_ERROR, HX_ERROR_CONNECTION, "the session closed the stream (%u%s%s)",
                code, reason ? ": " : "", reason ? reason : "");
    return FALSE;
}

typedef enum { MORE, NOTHING, WHOLE, FAILED } Received;

/* Take one chunk: MORE to come at once, NOTHING there, a WHOLE message, of @ret_text or not. */
static Received receive(HxStreamClient *client, gboolean *ret_text, GError **error)
{
    size_t size = 0;
    const struct curl_ws_frame *frame = NULL;
    CURLcode result =
        curl_ws_recv(client->curl, client->chunk, sizeof client->chunk, &size, &frame);
    if (result == CURLE_AGAIN)
        return NOTHING;
    if (result != CURLE_OK || !frame) {
        g_set_error(error, HX_ERROR, HX_ERROR_CONNECTION, "the connection to the session broke: %s",
                    result == CURLE_GOT_NOTHING ? "it was closed" : curl_easy_strerror(result));
        return FAILED;
    }
    if (frame->flags & CURLWS_CLOSE) {
        closed(client, client->chunk, size, error);
        return FAILED;
    }
    if (frame->flags & (CURLWS_PING | CURLWS_PONG))
        return MORE;
    if (client->whole)
        g_byte_array_set_size(client->message, 0);
    client->whole = FALSE;
    guint64 announced = (guint64)client->message->len + size + frame->bytesleft;
    if (announced > HX_STREAM_MESSAGE_MAX) {
        g_set_error(error, HX_ERROR, HX_ERROR_PROTOCOL,
                    "the session sent a message of %" G_GUINT64_FORMAT
                    " bytes; at most %d are taken",
                    announced, HX_STREAM_MESSAGE_MAX);
        return FAILED;
    }
    g_byte_array_append(client->message, (const guint8 *)client->chunk, size);
    if (frame->bytesleft > 0 || (frame->flags & CURLWS_CONT))
        return MORE;
    client->whole = TRUE;
    *ret_text = frame->flags & CURLWS_TEXT;
    return WHOLE;
}

/* The other side broke the protocol: @cause says how. */
static gboolean malformed(GError *cause, GError **error)
{
    g_set_error(error, HX_ERROR, HX_ERROR_PROTOCOL, "the session sent nonsense: %s",
                cause->message);
    g_error_free(cause);
    return FALSE;
}

static gboolean read_text(HxStreamClient *client, HxStreamEvent *event, gboolean *ret_has,
                          GError **error)
{
    const char *text = (const char *)client->message->data;
    gsize size = client->message->len;
    GError *cause = NULL;
    event->type = HX_STREAM_EVENT_COMPLETE;
    *ret_has = hx_stream_complete_parse(text, size, &event->width, &event->height, &cause);
    if (!*ret_has && !cause) {
        hx_stream_source_clear(&client->source);
        event->type = HX_STREAM_EVENT_SOURCE;
        event->source = &client->source;
        *ret_has = hx_stream_source_parse(text, size, &client->source, &cause);
    }
    return cause ? malformed(cause, error) : TRUE;
}

/* The next frame of the batch, if one is left. */
static gboolean read_batch(HxStreamClient *client, HxStreamEvent *event, gboolean *ret_has,
                           GError **error)
{
    GError *cause = NULL;
    event->type = HX_STREAM_EVENT_FRAME;
    *ret_has = hx_stream_batch_next(&client->batch, &event->frame, &cause);
    return cause ? malformed(cause, error) : TRUE;
}

/* TRUE where it answers a ping of ours; its own word on when that was is not trusted. */
static gboolean read_pong(HxStreamClient *client, const HxStreamPong *pong, HxStreamEvent *event)
{
    guint32 age = client->ping_sequence - pong->sequence;
    gint64 *sent = &client->ping_times[pong->sequence % PINGS_REMEMBERED];
    if (age < 1 || age > PINGS_REMEMBERED || !*sent)
        return FALSE;
    event->type = HX_STREAM_EVENT_PONG;
    event->pong.round_trip = g_get_monotonic_time() - *sent;
    event->pong.encoder_latency = pong->encoder_latency_ms;
    *sent = 0;
    return TRUE;
}

static gboolean read_binary(HxStreamClient *client, HxStreamEvent *event, gboolean *ret_has,
                            GError **error)
{
    HxStreamMessage message;
    GError *cause = NULL;
    if (!hx_stream_decode(client->message->data, client->message->len, &message, &cause))
        return malformed(cause, error);
    switch (message.type) {
    case HX_STREAM_INIT:
        event->type = HX_STREAM_EVENT_INIT;
        event->init = message.init;
        *ret_has = TRUE;
        return TRUE;
    case HX_STREAM_VIDEO_FRAME:
        event->type = HX_STREAM_EVENT_FRAME;
        event->frame = message.frame;
        *ret_has = TRUE;
        return TRUE;
    case HX_STREAM_VIDEO_BATCH:
        client->batch = message.batch;
        return read_batch(client, event, ret_has, error);
    case HX_STREAM_PONG:
        *ret_has = read_pong(client, &message.pong, event);
        return TRUE;
    case HX_STREAM_ERROR:
        g_set_error(error, HX_ERROR, HX_ERROR_GUEST, "the session reports: %.*s",
                    (int)message.error.length, message.error.text);
        return FALSE;
    default:
        return TRUE;
    }
}

/* Sleep until the socket has something, the user interrupts, or @until. */
static void wait_until(HxStreamClient *client, gint64 until)
{
    gint64 left = hx_time_left(until);
    struct timespec timeout = {left / G_USEC_PER_SEC, left % G_USEC_PER_SEC * 1000};
    struct pollfd fds[] = {
        {.fd = client->fd, .events = POLLIN},
        {.fd = client->cancel ? g_cancellable_get_fd(client->cancel) : -1, .events = POLLIN},
    };
    gint64 begun = g_get_monotonic_time();
    ppoll(fds, G_N_ELEMENTS(fds), &timeout, NULL);
    client->waited += MIN(g_get_monotonic_time() - begun, left);
    if (client->cancel)
        g_cancellable_release_fd(client->cancel);
}

gboolean hx_stream_client_next(HxStreamClient *client, gint64 until, HxStreamEvent *ret_event,
                               GError **error)
{
    gboolean has = FALSE;
    if (client->batch.left && !read_batch(client, ret_event, &has, error))
        return FALSE;
    while (!has) {
        gint64 now = g_get_monotonic_time();
        if (g_cancellable_is_cancelled(client->cancel)) {
            g_set_error(error, HX_ERROR, HX_ERROR_CANCELLED, "interrupted");
            return FALSE;
        }
        if (now >= until) {
            ret_event->type = HX_STREAM_EVENT_TIME;
            return TRUE;
        }
        if (now >= client->ping_due && !send_ping(client, now, error))
            return FALSE;
        gboolean text = FALSE;
        switch (receive(client, &text, error)) {
        case MORE:
            break;
        case NOTHING:
            wait_until(client, MIN(until, client->ping_due));
            break;
        case WHOLE:
            if (!(text ? read_text : read_binary)(client, ret_event, &has, error))
                return FALSE;
            break;
        case FAILED:
            return FALSE;
        }
    }
    return TRUE;
}

gint64 hx_stream_client_waited(const HxStreamClient *client)
{
    return client->waited;
}

/* --- beginning and end --------------------------------------------------------------------------
 */

/* Takes @connection, NULL with @error where it could not be made. */
static HxStreamClient *client_new(HxStreamConnection *connection, const HxStreamRequest *request,
                                  guint timeout, GCancellable *cancel, GError **error)
{
    if (!connection)
        return NULL;
    g_autoptr(HxStreamClient) client = g_new0(HxStreamClient, 1);
    client->connection = connection;
    client->curl = hx_stream_connection_curl(connection);
    client->fd = -1;
    client->message = g_byte_array_new();
    client->cancel = cancel ? g_object_ref(cancel) : NULL;
    curl_easy_setopt(client->curl, CURLOPT_CONNECT_ONLY, 2L);
    if (!hx_stream_connection_perform(connection, timeout, error))
        return NULL;
    /* Interrupts are now seen between messages, where the connection is worth a goodbye. */
    curl_socket_t socket = CURL_SOCKET_BAD;
    curl_easy_getinfo(client->curl, CURLINFO_ACTIVESOCKET, &socket);
    client->fd = socket;
    client->ping_due = g_get_monotonic_time() + PING_INTERVAL;
    g_autofree char *text = hx_stream_request_build(request);
    if (!send_message(client, text, strlen(text), CURLWS_TEXT, error))
        return NULL;
    return g_steal_pointer(&client);
}

HxStreamClient *hx_stream_client_new(int fd, const char *path, const HxStreamRequest *request,
                                     guint timeout, GCancellable *cancel, GError **error)
{
    return client_new(hx_stream_connection_on(fd, "ws", path, cancel, error), request, timeout,
                      cancel, error);
}

HxStreamClient *hx_stream_client_new_helix(const HxHelixServer *server, const char *path,
                                           const HxStreamRequest *request, guint timeout,
                                           GCancellable *cancel, GError **error)
{
    return client_new(hx_stream_connection_to(server, path, cancel, error), request, timeout,
                      cancel, error);
}

void hx_stream_client_free(HxStreamClient *client)
{
    if (!client)
        return;
    if (client->fd >= 0) {
        /* 1000: a normal end (RFC 6455, 7.4.1).  Whether it is heard does not matter. */
        size_t sent;
        curl_ws_send(client->curl, "\x03\xe8", 2, &sent, 0, CURLWS_CLOSE);
    }
    hx_stream_connection_free(client->connection);
    g_byte_array_unref(client->message);
    hx_stream_source_clear(&client->source);
    g_clear_object(&client->cancel);
    g_free(client);
}
