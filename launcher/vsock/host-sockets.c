/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Theory of operation
 *
 * A client's line is read with MSG_PEEK first, so that exactly the line is taken: what a client
 * sends right behind it is the guest's and stays in the socket.  With messages it is the first one,
 * and nothing else may be in it.  A client that says nothing costs a descriptor and this little
 * record; of those there are at most HX_HOST_CLIENTS_MAX, the oldest making room, so no timer is
 * needed.
 */
#include "launcher/vsock/host-sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <sys/socket.h>

#include "launcher/base/fd.h"
#include "launcher/base/log.h"
#include "launcher/base/unix-socket.h"

/* "CONNECT 4294967295\n" is 19 bytes. */
#define LINE_MAX_SIZE 32

typedef struct {
    HxHostSockets *sockets;
    HxEventSource source;
    int fd, type;
    GList link; /* in sockets->clients */
    char line[LINE_MAX_SIZE];
    size_t length;
} Client;

typedef struct {
    HxHostSockets *sockets;
    HxEventSource source;
    char *path;
    int fd, type;
} Listener;

struct HxHostSockets {
    HxEvents *events;
    char *path;
    Listener listeners[2];
    int spare_fd; /* given up for a moment to refuse a client where descriptors run out */
    HxHostConnect connect;
    void *data;
    GQueue clients; /* oldest first */
};

int hx_host_parse_connect(const char *line, uint32_t *ret_port)
{
    static const char command[] = "CONNECT ";
    if (strncmp(line, command, strlen(command)) != 0)
        return -EINVAL;
    const char *digits = line + strlen(command);
    uint64_t port = 0;
    size_t n = 0;
    for (; n < 10 && g_ascii_isdigit(digits[n]); n++)
        port = port * 10 + (digits[n] - '0');
    if (n == 0 || digits[n] != '\0' || port == 0 || port > UINT32_MAX)
        return -EINVAL;
    *ret_port = port;
    return 0;
}

/* Forget the client; its descriptor is the caller's. */
static int release_client(Client *client)
{
    HxHostSockets *sockets = client->sockets;
    int fd = client->fd;
    hx_events_remove(sockets->events, &client->source);
    g_queue_unlink(&sockets->clients, &client->link);
    g_free(client);
    return fd;
}

/* Returns 1 where the line is whole, 0 where more is to come, or a negative errno. */
static int read_line(Client *client)
{
    for (;;) {
        char *end = client->line + client->length;
        size_t room = sizeof client->line - client->length;
        ssize_t n = recv(client->fd, end, room, MSG_PEEK | MSG_DONTWAIT);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR ? 0 : -errno;
        if (n == 0)
            return -EPIPE;
        char *newline = memchr(end, '\n', n);
        size_t taken = newline ? (size_t)(newline - end) + 1 : (size_t)n;
        if (recv(client->fd, end, taken, MSG_DONTWAIT) != (ssize_t)taken)
            return -EIO;
        client->length += taken;
        if (newline) {
            *newline = '\0';
            return 1;
        }
        if (client->length == sizeof client->line)
            return -EMSGSIZE;
    }
}

/* The same for a client with messages. */
static int read_first_message(Client *client)
{
    ssize_t n = recv(client->fd, client->line, sizeof client->line, MSG_DONTWAIT | MSG_TRUNC);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    if (n == 0)
        return -EPIPE;
    if ((size_t)n >= sizeof client->line)
        return -EMSGSIZE;
    if (client->line[n - 1] == '\n')
        n--;
    client->line[n] = '\0';
    return strlen(client->line) == (size_t)n ? 1 : -EINVAL;
}

static void client_ready(HxEventSource *source, uint32_t events)
{
    Client *client = HX_CONTAINER_OF(source, Client, source);
    HxHostSockets *sockets = client->sockets;
    uint32_t port = 0;
    int type = client->type;
    int r = type == SOCK_STREAM ? read_line(client) : read_first_message(client);
    if (r == 0)
        return;
    if (r > 0)
        r = hx_host_parse_connect(client->line, &port);
    if (r < 0)
        hx_log_debug("a client of the host is closed before it said where to: %s", g_strerror(-r));
    int fd = release_client(client);
    if (r < 0)
        close(fd);
    else
        sockets->connect(sockets->data, fd, type, port);
}

static void add_client(HxHostSockets *sockets, int fd, int type)
{
    if (sockets->clients.length >= HX_HOST_CLIENTS_MAX) {
        GList *oldest = g_queue_peek_head_link(&sockets->clients);
        close(release_client(oldest->data));
        hx_log_debug("%d clients of the host have not said where to: the oldest is closed",
                     HX_HOST_CLIENTS_MAX);
    }
    Client *client = g_new0(Client, 1);
    client->sockets = sockets;
    client->source.ready = client_ready;
    client->fd = fd;
    client->type = type;
    client->link.data = client;
    g_queue_push_tail_link(&sockets->clients, &client->link);
    if (hx_events_add(sockets->events, &client->source, fd, EPOLLIN | EPOLLET) < 0)
        close(release_client(client));
}

static void listener_ready(HxEventSource *source, uint32_t events)
{
    Listener *listener = HX_CONTAINER_OF(source, Listener, source);
    HxHostSockets *sockets = listener->sockets;
    /* Some, not all: connections that are open have their turn in between. */
    for (int i = 0; i < 32; i++) {
        int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            add_client(sockets, fd, listener->type);
            continue;
        }
        if (errno != EMFILE && errno != ENFILE)
            return;
        /* Left in the backlog it would wake us up for ever. */
        hx_close(&sockets->spare_fd);
        fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC);
        hx_close(&fd);
        sockets->spare_fd = fcntl(listener->fd, F_DUPFD_CLOEXEC, 0);
        hx_log_warning("out of descriptors: a client of the host is refused");
    }
}

static int open_listener(HxHostSockets *sockets, int type, const char *suffix)
{
    Listener *listener = &sockets->listeners[type != SOCK_STREAM];
    listener->sockets = sockets;
    listener->source.ready = listener_ready;
    listener->type = type;
    listener->path = g_strconcat(sockets->path, suffix, NULL);
    listener->fd = hx_unix_listen(listener->path, type | SOCK_NONBLOCK, 0600);
    if (listener->fd < 0)
        return listener->fd;
    return hx_events_add(sockets->events, &listener->source, listener->fd, EPOLLIN);
}

static void close_listener(HxHostSockets *sockets, Listener *listener)
{
    hx_events_remove(sockets->events, &listener->source);
    if (listener->fd >= 0)
        unlink(listener->path);
    hx_close(&listener->fd);
    g_free(listener->path);
}

HxHostSockets *hx_host_sockets_new(HxEvents *events, const char *path, HxHostConnect connect,
                                   void *data, int *ret_error)
{
    HxHostSockets *sockets = g_new0(HxHostSockets, 1);
    *sockets = (HxHostSockets){
        .events = events,
        .path = g_strdup(path),
        .listeners = {{.fd = -1}, {.fd = -1}},
        .spare_fd = -1,
        .connect = connect,
        .data = data,
        .clients = G_QUEUE_INIT,
    };
    *ret_error = open_listener(sockets, SOCK_STREAM, "");
    if (*ret_error == 0)
        *ret_error = open_listener(sockets, SOCK_SEQPACKET, HX_HOST_SEQPACKET_SUFFIX);
    sockets->spare_fd = fcntl(sockets->listeners[0].fd, F_DUPFD_CLOEXEC, 0);
    if (*ret_error < 0)
        g_clear_pointer(&sockets, hx_host_sockets_free);
    return sockets;
}

void hx_host_sockets_free(HxHostSockets *sockets)
{
    if (!sockets)
        return;
    GList *link;
    while ((link = g_queue_peek_head_link(&sockets->clients)))
        close(release_client(link->data));
    for (unsigned i = 0; i < G_N_ELEMENTS(sockets->listeners); i++)
        close_listener(sockets, &sockets->listeners[i]);
    hx_close(&sockets->spare_fd);
    g_free(sockets->path);
    g_free(sockets);
}

int hx_host_sockets_connect(const HxHostSockets *sockets, int type, uint32_t port)
{
    g_autofree char *path = g_strdup_printf("%s_%u", sockets->path, port);
    return hx_unix_connect(path, type | SOCK_NONBLOCK);
}
