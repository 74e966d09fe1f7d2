/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Theory of operation
 *
 * Packets to the guest.  Channels that have something take turns.  A turn offers several of the
 * driver's buffers, each from behind the place of its header on, to one recvmsg() of the host
 * socket; then the headers of those that it filled are written, and the rest is given back.  How
 * many are offered follows what the last read found.  Without buffers all turns wait, for the
 * driver's kick.
 *
 * A message is read whole, as a socket gives it: into the buffers offered, and what these have no
 * room for, or the guest no credit, behind them into memory of our own.  That rest waits and is
 * copied as credit and buffers come; the next message is not read before.
 */
#include <endian.h>
#include <errno.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "launcher/base/log.h"
#include "launcher/vsock/channel.h"
#include "launcher/vsock/iov.h"

#define HEADER sizeof(struct virtio_vsock_hdr)

/* Take a buffer, its entries from vsock->buffers[@used] on.  Returns false where there is none. */
static bool take_buffer(HxVsock *vsock, unsigned used, HxChain *ret_chain)
{
    int r = hx_virtqueue_pop(vsock->rx, vsock->buffers + used, HX_GATHER_MAX - used, ret_chain);
    if (r == -ENOBUFS && used == 0)
        hx_virtqueue_break(vsock->rx, "a buffer in too many pieces");
    if (r <= 0)
        return false;
    if (ret_chain->n_readable > 0 || ret_chain->writable <= HEADER) {
        hx_virtqueue_break(vsock->rx, "a buffer without room for a packet, or one to be read");
        return false;
    }
    return true;
}

static void give_buffer(HxVsock *vsock, const struct iovec *iov, const HxChain *chain,
                        const struct virtio_vsock_hdr *packet)
{
    hx_iov_write(iov, chain->n_writable, packet, HEADER);
    hx_virtqueue_push(vsock->rx, chain->head, HEADER + le32toh(packet->len));
}

/* Returns false where buffers ran out. */
static bool send_resets(HxVsock *vsock)
{
    HxChain chain;
    while (vsock->resets_count > 0) {
        if (!take_buffer(vsock, 0, &chain))
            return false;
        const HxReset *reset = &vsock->resets[vsock->resets_start];
        struct virtio_vsock_hdr packet = {
            .src_cid = htole64(reset->cid),
            .dst_cid = htole64(vsock->guest_cid),
            .src_port = htole32(reset->host_port),
            .dst_port = htole32(reset->guest_port),
            .type = htole16(reset->type),
            .op = htole16(VIRTIO_VSOCK_OP_RST),
        };
        vsock->resets_start = (vsock->resets_start + 1) % HX_RESETS_MAX;
        vsock->resets_count--;
        give_buffer(vsock, vsock->buffers, &chain, &packet);
    }
    return true;
}

/* Returns false where buffers ran out. */
static bool send_control(HxVsock *vsock, HxChannel *channel)
{
    HxChain chain;
    while (hx_connection_control_due(&channel->connection)) {
        if (!take_buffer(vsock, 0, &chain))
            return false;
        struct virtio_vsock_hdr packet;
        hx_connection_control(&channel->connection, &packet);
        give_buffer(vsock, vsock->buffers, &chain, &packet);
    }
    const uint8_t both = VIRTIO_VSOCK_SHUTDOWN_RCV | VIRTIO_VSOCK_SHUTDOWN_SEND;
    if (channel->connection.host_shutdown_told == both && channel->fd >= 0)
        hx_channel_close_socket(channel);
    return true;
}

/* Buffers offered to one read. */
typedef struct {
    HxChain chains[HX_READ_CHAINS];
    uint32_t sizes[HX_READ_CHAINS]; /* bytes of payload that fit, or that there is credit for */
    unsigned n_chains, n_payload;
    uint32_t capacity;
} Offer;

static void take_offer(HxVsock *vsock, const HxChannel *channel, Offer *offer)
{
    uint32_t credit = hx_connection_credit(&channel->connection);
    unsigned used = 0;
    *offer = (Offer){.n_chains = 0};
    while (offer->n_chains < channel->read_chains && offer->capacity < credit) {
        HxChain *chain = &offer->chains[offer->n_chains];
        if (!take_buffer(vsock, used, chain))
            return;
        uint32_t size = MIN(chain->writable - HEADER, credit - offer->capacity);
        offer->n_payload += hx_iov_slice(vsock->buffers + used, chain->n_writable, HEADER, size,
                                         vsock->payload + offer->n_payload);
        offer->sizes[offer->n_chains++] = size;
        offer->capacity += size;
        used += chain->n_writable;
    }
}

/* Hand over @size bytes that a read has put into the offered buffers, the last of them with @flags;
 * returns the buffers used. */
static unsigned give_offer(HxVsock *vsock, HxChannel *channel, const Offer *offer, size_t size,
                           uint32_t flags)
{
    hx_polling_expect_answer(&vsock->polling);
    const struct iovec *iov = vsock->buffers;
    unsigned i;
    for (i = 0; size > 0; i++) {
        struct virtio_vsock_hdr packet;
        uint32_t part = MIN(size, offer->sizes[i]);
        hx_connection_data(&channel->connection, part, part == size ? flags : 0, &packet);
        give_buffer(vsock, iov, &offer->chains[i], &packet);
        iov += offer->chains[i].n_writable;
        size -= part;
    }
    return i;
}

/* Returns false where buffers ran out. */
static bool send_data(HxVsock *vsock, HxChannel *channel)
{
    Offer offer;
    take_offer(vsock, channel, &offer);
    if (vsock->rx->broken || offer.n_chains == 0)
        return false;
    struct msghdr msg = {.msg_iov = vsock->payload, .msg_iovlen = offer.n_payload};
    ssize_t n = recvmsg(channel->fd, &msg, MSG_DONTWAIT);
    int error = n < 0 ? errno : 0;
    unsigned used = n > 0 ? give_offer(vsock, channel, &offer, n, 0) : 0;
    hx_virtqueue_unpop(vsock->rx, offer.n_chains - used);
    if (n == (ssize_t)offer.capacity) {
        channel->read_chains = MIN(2 * channel->read_chains, HX_READ_CHAINS);
    } else if (n > 0) {
        channel->read_chains = used;
        /* Less than was asked for: there was no more, and what comes is an edge (epoll(7)).  Not so
         * an end that was announced together with the data, nor what is behind descriptors of the
         * host's program: they end a read, and are dropped. */
        channel->readable = channel->ending || msg.msg_flags & MSG_CTRUNC;
    } else if (error == EAGAIN) {
        channel->readable = false;
    } else if (n == 0) {
        hx_channel_read_end(channel);
    } else if (error != EINTR) {
        /* ECONNRESET: closed, with data of the guest's unread. */
        channel->ended = channel->hung_up = true;
        hx_channel_settle(channel);
    }
    return true;
}

/* A message of @size bytes has been read, its beginning into the offered buffers, the rest into
 * vsock->message.  Returns the buffers used. */
static unsigned give_message(HxVsock *vsock, HxChannel *channel, const Offer *offer, size_t size)
{
    if (size > offer->capacity) {
        size_t rest = size - offer->capacity;
        channel->message = (HxHostMessage){.data = g_memdup2(vsock->message, rest), .size = rest};
        channel->read_chains = MIN(2 * channel->read_chains, HX_READ_CHAINS);
        return give_offer(vsock, channel, offer, offer->capacity, 0);
    }
    channel->read_chains = give_offer(vsock, channel, offer, size, VIRTIO_VSOCK_SEQ_EOM);
    return channel->read_chains;
}

/* Read the next message of the host's program, where there is one.  Returns false where buffers ran
 * out. */
static bool read_message(HxVsock *vsock, HxChannel *channel)
{
    HxConnection *c = &channel->connection;
    Offer offer;
    take_offer(vsock, channel, &offer);
    if (vsock->rx->broken || offer.n_chains == 0)
        return false;
    if (offer.n_payload == HX_GATHER_MAX) { /* no entry is left for the rest */
        hx_virtqueue_unpop(vsock->rx, offer.n_chains);
        offer = (Offer){.n_chains = 0};
    }
    vsock->payload[offer.n_payload] = (struct iovec){vsock->message, sizeof vsock->message};
    char control[CMSG_SPACE(sizeof(struct timeval))];
    struct msghdr msg = {.msg_iov = vsock->payload,
                         .msg_iovlen = offer.n_payload + 1,
                         .msg_control = control,
                         .msg_controllen = sizeof control};
    ssize_t n = recvmsg(channel->fd, &msg, MSG_DONTWAIT | MSG_TRUNC);
    int error = n < 0 ? errno : 0;
    bool fits = n <= (ssize_t)MIN(sizeof vsock->message, c->guest_buffer);
    unsigned used = n > 0 && fits ? give_message(vsock, channel, &offer, n) : 0;
    hx_virtqueue_unpop(vsock->rx, offer.n_chains - used);
    if (!fits) {
        hx_log_warning("a message of %zd bytes from the host's port %u to the guest's port %u is "
                       "longer than the buffer for it: the connection is reset",
                       n, c->host_port, c->guest_port);
        channel->reset_due = true;
    } else if (error == EAGAIN) {
        channel->readable = false;
    } else if (error == ECONNRESET) {
        channel->hung_up = true; /* said once, before what is still to be read */
    } else if (error != 0 && error != EINTR) {
        channel->ended = true;
        hx_channel_settle(channel);
    } else if (n == 0 && msg.msg_controllen == 0) {
        hx_channel_read_end(channel);
    }
    return true;
}

/* Returns false where buffers ran out. */
static bool send_message(HxVsock *vsock, HxChannel *channel)
{
    HxHostMessage *message = &channel->message;
    if (!message->data)
        return read_message(vsock, channel);
    uint32_t credit;
    while (message->data && (credit = hx_connection_credit(&channel->connection)) > 0) {
        HxChain chain;
        if (!take_buffer(vsock, 0, &chain))
            return false;
        uint32_t left = message->size - message->sent, size = MIN(left, credit);
        size = MIN(size, chain.writable - HEADER);
        struct virtio_vsock_hdr packet;
        hx_connection_data(&channel->connection, size, size == left ? VIRTIO_VSOCK_SEQ_EOM : 0,
                           &packet);
        size_t count = hx_iov_slice(vsock->buffers, chain.n_writable, HEADER, size, vsock->payload);
        hx_iov_write(vsock->payload, count, message->data + message->sent, size);
        give_buffer(vsock, vsock->buffers, &chain, &packet);
        message->sent += size;
        if (size == left) {
            g_free(message->data);
            *message = (HxHostMessage){.data = NULL};
        }
    }
    return true;
}

/* One turn.  Returns false where buffers ran out, and the turn is to be taken again. */
static bool take_turn(HxVsock *vsock, HxChannel *channel)
{
    if (!send_control(vsock, channel))
        return false;
    bool messages = hx_channel_is_seqpacket(channel);
    if (hx_channel_wants_turn(channel) &&
        !(messages ? send_message(vsock, channel) : send_data(vsock, channel)))
        return false;
    return send_control(vsock, channel);
}

bool hx_vsock_run_rx(HxVsock *vsock)
{
    HxVirtqueue *queue = vsock->rx;
    if (!hx_virtqueue_usable(queue) || (vsock->resets_count == 0 && vsock->run.length == 0))
        return false;
    hx_virtqueue_disable_kick(queue);
    bool room = send_resets(vsock);
    for (unsigned i = 0; i < HX_LAP && room && vsock->run.length > 0; i++) {
        HxChannel *channel = vsock->run.head->data;
        room = take_turn(vsock, channel);
        if (room) {
            g_queue_unlink(&vsock->run, &channel->run_link);
            channel->queued = false;
            if (!hx_channel_check(channel))
                hx_channel_schedule(channel);
        }
        /* The driver can take this while the next is read. */
        hx_virtqueue_flush(queue);
    }
    hx_virtqueue_flush(queue);
    return room ? vsock->run.length > 0 || vsock->resets_count > 0
                : hx_virtqueue_enable_kick(queue);
}
