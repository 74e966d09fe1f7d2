/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Theory of operation.  The socket is non-blocking; every transfer is a loop of "try, then poll for
 * it and for the cancellable until the deadline".  A request and its answer are separate calls, so
 * that a caller may have more than one request on its way.  Requests carry no number, so answers
 * are matched by their order, and the pts that comes back is checked: an answer to something else
 * means that the order is lost, and the connection with it. */
#include "guest-provision/vsockenc/frame-client.h"

#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

struct HxFrameClient {
    int fd;
    guint timeout_ms;
    GCancellable *cancellable;
    GByteArray *payload; /* kept between answers for its allocation */
};

/* A payload larger than this is not kept. */
enum { PAYLOAD_KEPT = 1024 * 1024 };

static gboolean fail_errno(GError **error, int errnum, const char *what)
{
    g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errnum), "%s: %s", what,
                g_strerror(errnum));
    return FALSE;
}

static gboolean fail_protocol(GError **error, const char *what)
{
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "the frame-export service sent %s",
                what);
    return FALSE;
}

char *hx_frame_address_to_string(const HxFrameAddress *address)
{
    if (address->path)
        return g_strdup_printf("unix %s", address->path);
    if (address->host)
        return g_strdup_printf("tcp %s:%u", address->host, address->tcp_port);
    return g_strdup_printf("vsock %u:%u", address->cid, address->port);
}

void hx_frame_answer_clear(HxFrameAnswer *answer)
{
    g_clear_pointer(&answer->unit, g_bytes_unref);
    g_clear_pointer(&answer->error_text, g_free);
    *answer = (HxFrameAnswer){0};
}

/* --- waiting ---------------------------------------------------------------------------------- */

static gint64 deadline_of(guint timeout_ms)
{
    return g_get_monotonic_time() + (gint64)timeout_ms * 1000;
}

/* Wait until @fd has @events, or an error to report. */
static gboolean wait_for(int fd, short events, gint64 deadline, GCancellable *cancellable,
                         GError **error)
{
    struct pollfd fds[2] = {{.fd = fd, .events = events}, {.fd = -1, .events = POLLIN}};
    if (cancellable)
        fds[1].fd = g_cancellable_get_fd(cancellable);
    int ready;
    do {
        gint64 left = deadline - g_get_monotonic_time();
        ready = poll(fds, 2, left > 0 ? (int)((left + 999) / 1000) : 0);
    } while (ready < 0 && errno == EINTR);
    int saved = errno;
    if (cancellable)
        g_cancellable_release_fd(cancellable);
    if (ready < 0)
        return fail_errno(error, saved, "poll");
    if (g_cancellable_set_error_if_cancelled(cancellable, error))
        return FALSE;
    if (ready > 0)
        return TRUE;
    g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT,
                        "the frame-export service does not answer");
    return FALSE;
}

static gboolean send_all(HxFrameClient *client, struct iovec *iov, size_t n, GError **error)
{
    gint64 deadline = deadline_of(client->timeout_ms);
    while (n) {
        struct msghdr message = {.msg_iov = iov, .msg_iovlen = n};
        ssize_t sent = sendmsg(client->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0) {
            if (errno != EAGAIN && errno != EINTR)
                return fail_errno(error, errno, "sending to the frame-export service");
            if (!wait_for(client->fd, POLLOUT, deadline, client->cancellable, error))
                return FALSE;
            continue;
        }
        for (; n && (size_t)sent >= iov->iov_len; iov++, n--)
            sent -= (ssize_t)iov->iov_len;
        if (n) {
            iov->iov_base = (char *)iov->iov_base + sent;
            iov->iov_len -= (size_t)sent;
        }
    }
    return TRUE;
}

static gboolean receive_all(HxFrameClient *client, void *buffer, size_t size, gint64 deadline,
                            GError **error)
{
    guint8 *p = buffer;
    while (size) {
        ssize_t got = recv(client->fd, p, size, MSG_DONTWAIT);
        if (got == 0) {
            g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED,
                                "the frame-export service closed the connection");
            return FALSE;
        }
        if (got > 0) {
            p += got;
            size -= (size_t)got;
        } else if (errno != EAGAIN && errno != EINTR) {
            return fail_errno(error, errno, "receiving from the frame-export service");
        } else if (!wait_for(client->fd, POLLIN, deadline, client->cancellable, error)) {
            return FALSE;
        }
    }
    return TRUE;
}

/* --- connecting ------------------------------------------------------------------------------- */

static int connect_to(const struct sockaddr *address, socklen_t length, gint64 deadline,
                      GCancellable *cancellable, GError **error)
{
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        fail_errno(error, errno, "socket");
        return -1;
    }
    int failure = connect(fd, address, length) < 0 ? errno : 0;
    if (failure == EINPROGRESS) {
        socklen_t size = sizeof failure;
        if (!wait_for(fd, POLLOUT, deadline, cancellable, error))
            goto fail;
        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &size) < 0)
            failure = errno;
    }
    if (!failure)
        return fd;
    fail_errno(error, failure, "connect");
fail:
    close(fd);
    return -1;
}

static int connect_tcp(const HxFrameAddress *where, gint64 deadline, GCancellable *cancellable,
                       GError **error)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *list = NULL;
    g_autofree char *service = g_strdup_printf("%u", where->tcp_port);
    int failure = getaddrinfo(where->host, service, &hints, &list);
    if (failure) {
        g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_HOST_NOT_FOUND, gai_strerror(failure));
        return -1;
    }
    int fd = -1;
    for (struct addrinfo *item = list; item && fd < 0; item = item->ai_next) {
        g_clear_error(error);
        fd = connect_to(item->ai_addr, item->ai_addrlen, deadline, cancellable, error);
    }
    freeaddrinfo(list);
    if (fd >= 0)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    return fd;
}

static int connect_any(const HxFrameAddress *where, gint64 deadline, GCancellable *cancellable,
                       GError **error)
{
    if (where->path) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        if (g_strlcpy(address.sun_path, where->path, sizeof address.sun_path) >=
            sizeof address.sun_path) {
            fail_errno(error, ENAMETOOLONG, "connect");
            return -1;
        }
        return connect_to((struct sockaddr *)&address, sizeof address, deadline, cancellable,
                          error);
    }
    if (where->host)
        return connect_tcp(where, deadline, cancellable, error);
    struct sockaddr_vm address = {
        .svm_family = AF_VSOCK, .svm_cid = where->cid, .svm_port = where->port};
    return connect_to((struct sockaddr *)&address, sizeof address, deadline, cancellable, error);
}

HxFrameClient *hx_frame_client_connect(const HxFrameAddress *address, guint timeout_ms,
                                       GCancellable *cancellable, GError **error)
{
    g_autoptr(GError) cause = NULL;
    int fd = connect_any(address, deadline_of(timeout_ms), cancellable, &cause);
    if (fd < 0) {
        g_autofree char *where = hx_frame_address_to_string(address);
        g_propagate_prefixed_error(error, g_steal_pointer(&cause),
                                   "frame-export service at %s: ", where);
        return NULL;
    }
    return hx_frame_client_new_for_fd(fd, timeout_ms, cancellable, error);
}

HxFrameClient *hx_frame_client_new_for_fd(int fd, guint timeout_ms, GCancellable *cancellable,
                                          GError **error)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
        fail_errno(error, errno, "fcntl");
        close(fd);
        return NULL;
    }
    HxFrameClient *client = g_new0(HxFrameClient, 1);
    client->fd = fd;
    client->timeout_ms = timeout_ms;
    client->cancellable = cancellable ? g_object_ref(cancellable) : NULL;
    client->payload = g_byte_array_new();
    return client;
}

void hx_frame_client_free(HxFrameClient *client)
{
    if (!client)
        return;
    close(client->fd);
    g_clear_object(&client->cancellable);
    g_byte_array_unref(client->payload);
    g_free(client);
}

void hx_frame_client_shut_down(HxFrameClient *client)
{
    shutdown(client->fd, SHUT_RDWR);
}

/* --- requests and answers --------------------------------------------------------------------- */

gboolean hx_frame_client_configure(HxFrameClient *client, const HxfrConfigReq *config,
                                   GError **error)
{
    guint8 buffer[HXFR_CONFIG_REQ_SIZE];
    hxfr_encode_config_req(buffer, 0, config);
    struct iovec iov = {buffer, sizeof buffer};
    return send_all(client, &iov, 1, error);
}

gboolean hx_frame_client_send(HxFrameClient *client, const HxfrFrameRequest *request,
                              const HxFramePixels *pixels, GError **error)
{
    guint8 buffer[HXFR_FRAME_REQUEST_SIZE];
    struct iovec iov[3] = {{buffer, sizeof buffer}};
    size_t n = 1;
    gsize size = 0;
    for (int i = 0; pixels && i < 2; i++) {
        if (!pixels->size[i])
            continue;
        size += pixels->size[i];
        iov[n++] = (struct iovec){(void *)pixels->plane[i], pixels->size[i]};
    }
    if (size > HXFR_PIXELS_MAX) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_MESSAGE_TOO_LARGE,
                    "a frame of %zu bytes; at most %u can be sent", size, HXFR_PIXELS_MAX);
        return FALSE;
    }
    guint8 flags = HXFR_FLAG_MAY_BE_EMPTY | (pixels ? HXFR_FLAG_PIXELS : 0);
    hxfr_encode_frame_request(buffer, 0, flags, request, (guint32)size);
    return send_all(client, iov, n, error);
}

/* The next message, whose payload is then in client->payload. */
static gboolean receive_message(HxFrameClient *client, gint64 deadline, HxfrHeader *ret_header,
                                GError **error)
{
    guint8 buffer[HXFR_HEADER_SIZE];
    if (!receive_all(client, buffer, sizeof buffer, deadline, error))
        return FALSE;
    switch (hxfr_decode_header(buffer, sizeof buffer, ret_header)) {
    case 0:
        break;
    case -EMSGSIZE:
        return fail_protocol(error, "a message of a wrong size");
    default:
        return fail_protocol(error, "something that is no HXFR message");
    }
    if (client->payload->len > PAYLOAD_KEPT) {
        g_byte_array_unref(client->payload);
        client->payload = g_byte_array_new();
    }
    g_byte_array_set_size(client->payload, ret_header->payload_size);
    return receive_all(client, client->payload->data, ret_header->payload_size, deadline, error);
}

static gboolean take_response(HxFrameClient *client, gint64 pts, HxFrameAnswer *answer,
                              GError **error)
{
    const guint8 *payload = client->payload->data;
    gsize length = client->payload->len;
    HxfrFrameResponse response;
    if (hxfr_decode_frame_response(payload, length, &response) < 0)
        return fail_protocol(error, "a malformed FRAME_RESPONSE");
    if (response.pts != pts)
        return fail_protocol(error, "the answer to another request");
    answer->pts = response.pts;
    answer->is_keyframe = response.is_keyframe;
    g_autoptr(GByteArray) unit = g_byte_array_new();
    const uint8_t *data;
    size_t size, offset = 0;
    while (hxfr_next_nal(payload, length, &offset, &data, &size))
        g_byte_array_append(unit, data, (guint)size);
    if (unit->len)
        answer->unit = g_byte_array_free_to_bytes(g_steal_pointer(&unit));
    return TRUE;
}

static gboolean take_error(HxFrameClient *client, gint64 pts, HxFrameAnswer *answer, GError **error)
{
    HxfrError reason;
    if (hxfr_decode_error(client->payload->data, client->payload->len, &reason) < 0)
        return fail_protocol(error, "a malformed ERROR");
    answer->pts = pts;
    answer->error = reason.code ? reason.code : HXFR_E_INTERNAL;
    answer->error_text = g_utf8_make_valid(reason.message, -1);
    return TRUE;
}

gboolean hx_frame_client_receive(HxFrameClient *client, gint64 pts, HxFrameAnswer *ret_answer,
                                 GError **error)
{
    gint64 deadline = deadline_of(client->timeout_ms);
    *ret_answer = (HxFrameAnswer){0};
    for (;;) {
        HxfrHeader header;
        if (!receive_message(client, deadline, &header, error))
            return FALSE;
        if (header.type == HXFR_FRAME_RESPONSE)
            return take_response(client, pts, ret_answer, error);
        if (header.type == HXFR_ERROR)
            return take_error(client, pts, ret_answer, error);
        /* CONFIG_RESP, PONG, and what later services may tell. */
    }
}

gboolean hx_frame_client_ping(HxFrameClient *client, GError **error)
{
    guint8 buffer[HXFR_HEADER_SIZE];
    gint64 deadline = deadline_of(client->timeout_ms);
    HxfrHeader header;
    hxfr_encode_empty(buffer, HXFR_PING, 0);
    struct iovec iov = {buffer, sizeof buffer};
    if (!send_all(client, &iov, 1, error))
        return FALSE;
    do {
        if (!receive_message(client, deadline, &header, error))
            return FALSE;
    } while (header.type != HXFR_PONG);
    return TRUE;
}
