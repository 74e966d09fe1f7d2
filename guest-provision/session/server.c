/* SPDX-License-Identifier: GPL-2.0-or-later */
/* GSocketService knows no vsock addresses, so connections are accepted here, and libsoup gets each
 * as a stream. */
#include "guest-provision/session/server.h"

#include "guest-provision/session/viewer.h"

#include <errno.h>
#include <gio/gunixsocketaddress.h>
#include <glib-unix.h>
#include <linux/vm_sockets.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Connections beside the viewers': those that are asked for statistics, or refused. */
enum { OTHER_CONNECTIONS_MAX = 48 };

struct SessionServer {
    int fd;
    guint accept_source;
    SoupServer *soup;
    GSocketAddress *address; /* libsoup wants one; nothing is done with it */
    GPtrArray *viewers;      /* SessionViewer, owned */
    guint viewers_max;
    SessionGop *gop;        /* empty where nobody has joined */
    GPtrArray *connections; /* GSocketConnection, not owned: libsoup's */
    guint joined;
    SessionServerEvents events;
    char *source; /* the text that tells it; NULL: not known */
    char *failure;
};

static int fail(GError **error, int fd, const char *what)
{
    g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "%s: %s", what, g_strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

int session_listen_vsock(guint32 *ret_port, GError **error)
{
    struct sockaddr_vm address = {
        .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = VMADDR_PORT_ANY};
    socklen_t size = sizeof address;
    int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 ||
        listen(fd, SOMAXCONN) < 0 || getsockname(fd, (struct sockaddr *)&address, &size) < 0)
        return fail(error, fd, "a listening vsock socket");
    *ret_port = address.svm_port;
    return fd;
}

int session_listen_unix(const char *path, GError **error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (g_strlcpy(address.sun_path, path, sizeof address.sun_path) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return fail(error, -1, path);
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    unlink(path);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 ||
        listen(fd, SOMAXCONN) < 0)
        return fail(error, fd, path);
    return fd;
}

/* --- connections -------------------------------------------------------------------------------
 */

static gboolean accept_one(int fd, GIOCondition condition, void *data);

static void listen_again(SessionServer *server)
{
    if (!server->accept_source)
        server->accept_source = g_unix_fd_add(server->fd, G_IO_IN, accept_one, server);
}

static void connection_gone(void *data, GObject *stream)
{
    SessionServer *server = data;
    g_ptr_array_remove_fast(server->connections, stream);
    listen_again(server);
}

static void take_connection(SessionServer *server, int connection)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GSocket) socket = g_socket_new_from_fd(connection, &error);
    if (!socket) {
        close(connection);
        g_warning("a connection: %s", error->message);
        return;
    }
    g_autoptr(GSocketConnection) stream = g_socket_connection_factory_create_connection(socket);
    g_ptr_array_add(server->connections, stream);
    g_object_weak_ref(G_OBJECT(stream), connection_gone, server);
    if (!soup_server_accept_iostream(server->soup, G_IO_STREAM(stream), server->address,
                                     server->address, &error))
        g_warning("a connection: %s", error->message);
}

static gboolean accept_one(int fd, GIOCondition condition, void *data)
{
    SessionServer *server = data;
    int connection = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (connection >= 0)
        take_connection(server, connection);
    /* Others wait in the backlog until one of these ends. */
    if (server->connections->len < server->viewers_max + OTHER_CONNECTIONS_MAX)
        return G_SOURCE_CONTINUE;
    server->accept_source = 0;
    return G_SOURCE_REMOVE;
}

/* Who asks for nothing asks for more than any number. */
static int greater_wish(int a, int b)
{
    return a && b ? MAX(a, b) : 0;
}

static void count_joined(SessionServer *server)
{
    SessionWish wish = {0};
    server->joined = 0;
    for (guint i = 0; i < server->viewers->len; i++) {
        const SessionViewer *viewer = server->viewers->pdata[i];
        if (!session_viewer_has_joined(viewer))
            continue;
        SessionWish its = session_viewer_wish(viewer);
        wish.fps = server->joined ? greater_wish(wish.fps, its.fps) : its.fps;
        wish.bitrate = server->joined ? greater_wish(wish.bitrate, its.bitrate) : its.bitrate;
        server->joined++;
    }
    /* It would be stale for who comes next, whose keyframe is nobody else's burden. */
    if (!server->joined)
        session_gop_clear(server->gop);
    server->events.viewers_changed(server->joined, &wish, server->events.data);
}

static void viewer_joined(SessionViewer *viewer, const HxStreamRequest *request, void *data)
{
    SessionServer *server = data;
    HxStreamInit init;
    if (server->failure) {
        session_viewer_fail(viewer, server->failure);
        return;
    }
    server->events.describe(&init, server->events.data);
    session_viewer_welcome(viewer, &init, server->gop);
    if (server->source)
        session_viewer_tell(viewer, server->source);
    count_joined(server);
}

static void viewer_needs_keyframe(SessionViewer *viewer, void *data)
{
    SessionServer *server = data;
    server->events.needs_keyframe(server->events.data);
}

static guint16 viewer_latency(void *data)
{
    SessionServer *server = data;
    return server->events.encoder_latency(server->events.data);
}

static void viewer_left(SessionViewer *viewer, void *data)
{
    SessionServer *server = data;
    gboolean joined = session_viewer_has_joined(viewer);
    g_ptr_array_remove_fast(server->viewers, viewer);
    if (joined)
        count_joined(server);
}

static void websocket_opened(SoupServer *soup, SoupServerMessage *message, const char *path,
                             SoupWebsocketConnection *connection, void *data)
{
    SessionServer *server = data;
    SessionViewerEvents events = {.joined = viewer_joined,
                                  .needs_keyframe = viewer_needs_keyframe,
                                  .encoder_latency = viewer_latency,
                                  .left = viewer_left,
                                  .data = server};
    SessionViewer *viewer = session_viewer_new(connection, &events);
    g_ptr_array_add(server->viewers, viewer);
    if (server->viewers->len <= server->viewers_max)
        return;
    g_autofree char *reason =
        g_strdup_printf("the session has as many viewers as its setting \"viewers\" allows: %u",
                        server->viewers_max);
    session_viewer_fail(viewer, reason);
}

static void statistics_asked(SoupServer *soup, SoupServerMessage *message, const char *path,
                             GHashTable *query, void *data)
{
    SessionServer *server = data;
    if (strcmp(path, "/statistics") != 0) {
        soup_server_message_set_status(message, SOUP_STATUS_NOT_FOUND, NULL);
        return;
    }
    if (strcmp(soup_server_message_get_method(message), "GET") != 0) {
        soup_server_message_set_status(message, SOUP_STATUS_METHOD_NOT_ALLOWED, NULL);
        return;
    }
    char *body = server->events.statistics(server->events.data);
    soup_server_message_set_status(message, SOUP_STATUS_OK, NULL);
    soup_server_message_set_response(message, "application/json", SOUP_MEMORY_TAKE, body,
                                     strlen(body));
}

/* --- the interface -----------------------------------------------------------------------------
 */

SessionServer *session_server_new(int fd, guint viewers_max, const SessionServerEvents *events)
{
    SessionServer *server = g_new0(SessionServer, 1);
    server->fd = fd;
    server->viewers_max = viewers_max;
    server->gop = session_gop_new();
    server->events = *events;
    server->viewers = g_ptr_array_new_with_free_func((GDestroyNotify)session_viewer_free);
    server->connections = g_ptr_array_new();
    server->soup = soup_server_new(NULL, NULL);
    server->address = g_unix_socket_address_new("helixvm-session");
    soup_server_add_handler(server->soup, NULL, statistics_asked, server, NULL);
    soup_server_add_websocket_handler(server->soup, "/ws/stream", NULL, NULL, websocket_opened,
                                      server, NULL);
    listen_again(server);
    return server;
}

void session_server_free(SessionServer *server)
{
    if (!server)
        return;
    g_clear_handle_id(&server->accept_source, g_source_remove);
    close(server->fd);
    g_ptr_array_unref(server->viewers);
    for (guint i = 0; i < server->connections->len; i++)
        g_object_weak_unref(server->connections->pdata[i], connection_gone, server);
    g_ptr_array_unref(server->connections);
    soup_server_disconnect(server->soup);
    g_object_unref(server->soup);
    g_object_unref(server->address);
    session_gop_free(server->gop);
    g_free(server->source);
    g_free(server->failure);
    g_free(server);
}

void session_server_send_frame(SessionServer *server, const HxStreamFrame *frame)
{
    if (!server->joined)
        return;
    g_autoptr(GBytes) message = hx_stream_encode_frame(frame);
    gboolean is_keyframe = frame->flags & HX_STREAM_FRAME_KEY;
    session_gop_add(server->gop, message, is_keyframe);
    for (guint i = 0; i < server->viewers->len; i++)
        session_viewer_send_frame(server->viewers->pdata[i], message, is_keyframe);
}

void session_server_set_source(SessionServer *server, const HxStreamSource *source)
{
    g_free(server->source);
    server->source = hx_stream_source_build(source);
    for (guint i = 0; i < server->viewers->len; i++)
        session_viewer_tell(server->viewers->pdata[i], server->source);
}

guint64 session_server_dropped(const SessionServer *server)
{
    guint64 dropped = 0;
    for (guint i = 0; i < server->viewers->len; i++)
        dropped += session_viewer_dropped(server->viewers->pdata[i]);
    return dropped;
}

void session_server_fail(SessionServer *server, const char *reason)
{
    g_free(server->failure);
    server->failure = g_strdup(reason);
    for (guint i = 0; i < server->viewers->len; i++)
        session_viewer_fail(server->viewers->pdata[i], reason);
}
