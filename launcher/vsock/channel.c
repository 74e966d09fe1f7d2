/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Theory of operation
 *
 * A channel is in vsock->run exactly while it has something for the guest: a packet without
 * payload, or a socket to read and credit to send with.  Sockets are watched edge-triggered, and
 * `readable` remembers the edge: a channel that waits for credit or for buffers costs no system
 * call.  EPOLLOUT is watched only while data is held.
 *
 * Ends:
 *   guest shuts down sending    held data first, then shutdown(SHUT_WR)
 *   guest shuts down both       RST at once, so that its port is free; held data is still written
 *   guest's RST                 the same without our RST
 *   host half-closes            read to the end, then SHUTDOWN(SEND)
 *   host closes                 read to the end, then SHUTDOWN(SEND|RCV); the socket is closed, and
 *                               the guest confirms with an RST when its program has read all
 *   host takes no more (EPIPE)  SHUTDOWN(RCV); what the guest has under way is discarded
 */
#include "launcher/vsock/channel.h"

#include <errno.h>
#include <sys/socket.h>

#include "launcher/base/fd.h"
#include "launcher/base/log.h"
#include "launcher/vsock/iov.h"

#define WATCH_READ (EPOLLIN | EPOLLRDHUP | EPOLLET)
#define BOTH (VIRTIO_VSOCK_SHUTDOWN_RCV | VIRTIO_VSOCK_SHUTDOWN_SEND)

/* The host's program takes no more. */
static void go_deaf(HxChannel *channel)
{
    channel->deaf = true;
    channel->connection.host_shutdown |= VIRTIO_VSOCK_SHUTDOWN_RCV;
    hx_connection_forwarded(&channel->connection, channel->held.length);
    hx_held_clear(&channel->held);
}

/* The host's socket took nothing for @error: never again, or never this message. */
static void send_failed(HxChannel *channel, int error)
{
    if (error == -EMSGSIZE || error == -ENOBUFS) {
        hx_log_warning("a message of the guest's from port %u to port %u is longer than the "
                       "host's socket takes: the connection is reset",
                       channel->connection.guest_port, channel->connection.host_port);
        channel->reset_due = true;
    }
    go_deaf(channel);
}

/* Returns the bytes sent, 0 where the socket takes none now, or a negative errno. */
static ssize_t send_iov(int fd, const struct iovec *iov, unsigned count)
{
    struct msghdr msg = {.msg_iov = (struct iovec *)iov, .msg_iovlen = count};
    ssize_t n = sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    return n;
}

/* All that the guest had to say is in the socket. */
static void drained(HxChannel *channel)
{
    if (channel->connection.guest_shutdown & VIRTIO_VSOCK_SHUTDOWN_SEND && !channel->deaf)
        shutdown(channel->fd, SHUT_WR);
}

/* May free the channel. */
static void write_held(HxChannel *channel)
{
    struct iovec iov[2];
    unsigned count;
    while ((count = hx_held_peek(&channel->held, iov)) > 0) {
        ssize_t n = send_iov(channel->fd, iov, count);
        if (n == 0)
            return;
        if (n < 0) {
            send_failed(channel, n);
            break;
        }
        hx_held_drop(&channel->held, n);
        hx_connection_forwarded(&channel->connection, n);
    }
    if (channel->detached) {
        hx_channel_free(channel);
        return;
    }
    hx_events_modify(channel->vsock->events, &channel->source, WATCH_READ);
    drained(channel);
}

void hx_channel_write(HxChannel *channel, const struct iovec *iov, unsigned count)
{
    size_t size = hx_iov_size(iov, count);
    ssize_t n = 0;
    if (!channel->deaf && channel->held.length == 0) {
        n = send_iov(channel->fd, iov, count);
        if (n < 0)
            go_deaf(channel);
    }
    if (channel->deaf)
        n = size;
    hx_connection_forwarded(&channel->connection, n);
    if ((size_t)n < size) {
        struct iovec rest[HX_GATHER_MAX];
        if (channel->held.length == 0)
            hx_events_modify(channel->vsock->events, &channel->source, WATCH_READ | EPOLLOUT);
        size_t rest_count = hx_iov_slice(iov, count, n, size - n, rest);
        hx_held_append(&channel->held, rest, rest_count);
    }
    hx_channel_schedule(channel);
}

/* Keep a part of a message until its end has come, or a whole one until the socket takes it. */
static void hold_message(HxChannel *channel, const struct iovec *iov, unsigned count, bool end)
{
    HxHeldData *held = &channel->held;
    struct iovec first[2];
    bool waits = hx_held_peek(held, first) > 0;
    if (count > 0)
        hx_held_append(held, iov, count);
    if (end && held->unfinished > 0)
        hx_held_end_message(held);
    if (held->unfinished == HX_CONNECTION_BUFFER) {
        hx_log_warning("a message of the guest's from port %u to port %u is longer than its "
                       "credit: the connection is reset",
                       channel->connection.guest_port, channel->connection.host_port);
        channel->reset_due = true;
    }
    if (waits || hx_held_peek(held, first) == 0)
        return;
    write_held(channel);
    if (hx_held_peek(held, first) > 0)
        hx_events_modify(channel->vsock->events, &channel->source, WATCH_READ | EPOLLOUT);
}

void hx_channel_write_message(HxChannel *channel, const struct iovec *iov, unsigned count, bool end)
{
    uint32_t size = hx_iov_size(iov, count);
    ssize_t n = 0;
    if (!channel->deaf && end && channel->held.length == 0 && size > 0) {
        n = send_iov(channel->fd, iov, count);
        if (n < 0)
            send_failed(channel, n);
    }
    if (channel->deaf)
        n = size;
    hx_connection_forwarded(&channel->connection, n);
    if (n == 0)
        hold_message(channel, iov, count, end);
    hx_channel_schedule(channel);
}

bool hx_channel_check(HxChannel *channel)
{
    bool due = channel->reset_due;
    if (due)
        hx_channel_reset(channel);
    return due;
}

bool hx_channel_wants_turn(const HxChannel *channel)
{
    bool wants =
        channel->message.data || (channel->readable && !channel->ended && channel->fd >= 0);
    return wants && hx_connection_credit(&channel->connection) > 0;
}

void hx_channel_schedule(HxChannel *channel)
{
    if (channel->queued || channel->detached)
        return;
    if (!hx_connection_control_due(&channel->connection) && !hx_channel_wants_turn(channel))
        return;
    channel->queued = true;
    g_queue_push_tail_link(&channel->vsock->run, &channel->run_link);
}

void hx_channel_settle(HxChannel *channel)
{
    HxConnection *c = &channel->connection;
    if (channel->ended)
        c->host_shutdown |= VIRTIO_VSOCK_SHUTDOWN_SEND;
    if (channel->hung_up && (channel->ended || c->guest_shutdown & VIRTIO_VSOCK_SHUTDOWN_RCV)) {
        go_deaf(channel);
        c->host_shutdown = BOTH;
    }
}

void hx_channel_read_end(HxChannel *channel)
{
    /* Whether half or all is closed is for epoll to say.  A read can be before it: its edge is then
     * still to come. */
    if (!channel->ending) {
        channel->readable = false;
        return;
    }
    channel->ended = true;
    hx_channel_settle(channel);
}

static void channel_ready(HxEventSource *source, uint32_t events)
{
    HxChannel *channel = HX_CONTAINER_OF(source, HxChannel, source);
    if (events & (EPOLLHUP | EPOLLERR))
        channel->hung_up = true;
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        channel->ending = true;
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        channel->readable = true;
    if (channel->connection.state == HX_CONNECTION_REQUESTED && channel->hung_up) {
        /* The guest need not hear of what it was not asked yet. */
        if (channel->connection.greeting_due)
            hx_channel_free(channel);
        else
            hx_channel_reset(channel);
        return;
    }
    if (channel->held.length > 0 && events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) {
        bool detached = channel->detached;
        write_held(channel);
        if (detached || hx_channel_check(channel))
            return;
    }
    if (channel->detached)
        return;
    hx_channel_settle(channel);
    hx_channel_schedule(channel);
}

HxChannel *hx_channel_new(HxVsock *vsock, const HxConnection *connection, int fd)
{
    HxChannel *channel = g_new0(HxChannel, 1);
    channel->vsock = vsock;
    channel->connection = *connection;
    channel->key = (uint64_t)connection->guest_port << 32 | connection->host_port;
    channel->source.ready = channel_ready;
    channel->fd = fd;
    channel->read_chains = 1;
    channel->held.messages = hx_channel_is_seqpacket(channel);
    channel->all_link.data = channel;
    channel->run_link.data = channel;
    /* The kernel's default, which it doubles when it is asked for: larger writes at once. */
    int size = 212992;
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    /* A message of no bytes has a time stamp, the end has none. */
    int stamped = hx_channel_is_seqpacket(channel);
    if (stamped)
        setsockopt(fd, SOL_SOCKET, SO_TIMESTAMP, &stamped, sizeof stamped);
    int r = hx_events_add(vsock->events, &channel->source, fd, WATCH_READ);
    if (r < 0) {
        hx_log_warning("cannot wait for a host socket: %s", g_strerror(-r));
        close(fd);
        g_free(channel);
        return NULL;
    }
    channel->slot = hx_session_add_connection(vsock->session, connection->guest_port,
                                              connection->host_port, connection->type);
    g_queue_push_tail_link(&vsock->all, &channel->all_link);
    g_hash_table_insert(vsock->by_ports, &channel->key, channel);
    hx_channel_schedule(channel);
    return channel;
}

void hx_channel_close_socket(HxChannel *channel)
{
    hx_events_remove(channel->vsock->events, &channel->source);
    hx_close(&channel->fd);
    channel->deaf = true;
}

/* Take the channel out of where packets find it. */
static void disconnect(HxChannel *channel)
{
    HxVsock *vsock = channel->vsock;
    if (channel->queued)
        g_queue_unlink(&vsock->run, &channel->run_link);
    channel->queued = false;
    if (!channel->detached) {
        g_hash_table_remove(vsock->by_ports, &channel->key);
        hx_session_remove_connection(vsock->session, channel->slot);
    }
    channel->detached = true;
    if (vsock->gather.channel == channel)
        vsock->gather.channel = NULL;
}

void hx_channel_free(HxChannel *channel)
{
    disconnect(channel);
    hx_channel_close_socket(channel);
    hx_held_clear(&channel->held);
    g_free(channel->message.data);
    g_queue_unlink(&channel->vsock->all, &channel->all_link);
    g_free(channel);
}

void hx_channel_detach(HxChannel *channel)
{
    disconnect(channel);
    hx_held_drop_unfinished(&channel->held);
    if (channel->held.length == 0) {
        hx_channel_free(channel);
        return;
    }
    shutdown(channel->fd, SHUT_RD);
}

void hx_channel_reset(HxChannel *channel)
{
    const HxConnection *c = &channel->connection;
    hx_vsock_refuse(channel->vsock, HX_VSOCK_HOST_CID, c->host_port, c->guest_port, c->type);
    hx_channel_detach(channel);
}

void hx_channel_guest_shutdown(HxChannel *channel)
{
    HxConnection *c = &channel->connection;
    if (hx_connection_guest_done(c)) {
        hx_channel_reset(channel);
        return;
    }
    if (c->guest_shutdown & VIRTIO_VSOCK_SHUTDOWN_RCV && channel->fd >= 0)
        shutdown(channel->fd, SHUT_RD);
    if (c->guest_shutdown & VIRTIO_VSOCK_SHUTDOWN_SEND)
        hx_connection_forwarded(c, hx_held_drop_unfinished(&channel->held));
    if (channel->held.length == 0 && channel->fd >= 0)
        drained(channel);
    hx_channel_settle(channel);
    hx_channel_schedule(channel);
}
