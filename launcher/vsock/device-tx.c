/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Theory of operation
 *
 * Packets from the guest.  The payload of consecutive packets to one connection is gathered, as the
 * driver's own descriptors, and goes to its socket in one sendmsg(): no copy in between, unless the
 * socket does not take it.  The chains are given back after that.  Anything else ends the
 * gathering, so that the order of data and shutdown is kept.
 *
 * A driver has no use for a chain that is given back but to free it, and an interrupt costs it more
 * than the packet did.  So chains with data wait to be published until a quarter of the ring has
 * come together, or for a moment.
 */
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "launcher/base/log.h"
#include "launcher/vsock/channel.h"
#include "launcher/vsock/iov.h"

static void write_gathered(HxVsock *vsock)
{
    HxChannel *channel = vsock->gather.channel;
    vsock->gather.channel = NULL;
    if (channel)
        hx_channel_write(channel, vsock->gather.iov, vsock->gather.n_iov);
    for (unsigned i = 0; i < vsock->gather.n_heads; i++)
        hx_virtqueue_push(vsock->tx, vsock->gather.heads[i], 0);
    vsock->gather.n_iov = vsock->gather.n_heads = 0;
}

/* Add the payload of a packet whose entries are at @iov, within the gathering's array. */
static void gather(HxVsock *vsock, HxChannel *channel, const HxChain *chain, struct iovec *iov,
                   uint32_t size)
{
    if (vsock->gather.channel != channel) {
        write_gathered(vsock);
        memmove(vsock->gather.iov, iov, chain->n_readable * sizeof *iov);
        iov = vsock->gather.iov;
        vsock->gather.channel = channel;
    }
    vsock->gather.n_iov +=
        hx_iov_slice(iov, chain->n_readable, sizeof(struct virtio_vsock_hdr), size, iov);
    vsock->gather.heads[vsock->gather.n_heads++] = chain->head;
    vsock->returned_bytes += size;
    hx_polling_count(&vsock->polling, size, hx_connection_window(&channel->connection));
}

static int socket_type(uint16_t type)
{
    return type == VIRTIO_VSOCK_TYPE_SEQPACKET ? SOCK_SEQPACKET : SOCK_STREAM;
}

/* Whether the driver may use @type. */
static bool is_known(const HxVsock *vsock, uint16_t type)
{
    return type == VIRTIO_VSOCK_TYPE_STREAM ||
           (type == VIRTIO_VSOCK_TYPE_SEQPACKET && hx_vsock_has_seqpacket(vsock));
}

static void open_for_guest(HxVsock *vsock, const struct virtio_vsock_hdr *packet)
{
    uint32_t port = le32toh(packet->dst_port);
    uint16_t type = le16toh(packet->type);
    int fd = -ENOBUFS;
    if (hx_vsock_has_room(vsock))
        fd = hx_host_sockets_connect(vsock->host, socket_type(type), port);
    HxChannel *channel = NULL;
    if (fd >= 0) {
        HxConnection connection;
        hx_connection_accept(&connection, vsock->guest_cid, packet);
        channel = hx_channel_new(vsock, &connection, fd);
    } else if (fd == -ENOENT || fd == -ECONNREFUSED || fd == -EPROTOTYPE) {
        hx_log_debug("the guest's connection to port %u is refused: nobody listens for its type",
                     port);
    } else {
        const char *reason = fd == -EAGAIN    ? "the listener has too many that it did not accept"
                             : fd == -ENOBUFS ? "there are too many connections"
                                              : g_strerror(-fd);
        hx_log_warning("the guest's connection to port %u is refused: %s", port, reason);
    }
    if (!channel)
        hx_vsock_refuse(vsock, HX_VSOCK_HOST_CID, port, le32toh(packet->src_port), type);
}

/* The guest accepted what a program of the host asked for. */
static void opened(HxChannel *channel)
{
    char line[sizeof "OK 4294967295\n"];
    int size = snprintf(line, sizeof line, "OK %u\n", channel->connection.guest_port);
    /* The first bytes in this direction: there is room, or nobody there. */
    if (send(channel->fd, line, size, MSG_NOSIGNAL | MSG_DONTWAIT) != size)
        hx_channel_reset(channel);
    else
        hx_channel_schedule(channel);
}

/* Returns whether the chain was taken into the gathering, to be given back with it. */
static bool receive_for(HxVsock *vsock, HxChannel *channel, const struct virtio_vsock_hdr *packet,
                        const HxChain *chain, struct iovec *iov)
{
    uint32_t size = le32toh(packet->len);
    HxPacketMeaning meaning = HX_PACKET_VIOLATION;
    if (size <= chain->readable - sizeof *packet)
        meaning = hx_connection_receive(&channel->connection, packet);
    if (meaning == HX_PACKET_DATA && hx_channel_is_seqpacket(channel)) {
        /* A message is a write of its own. */
        write_gathered(vsock);
        unsigned count = hx_iov_slice(iov, chain->n_readable, sizeof *packet, size, iov);
        hx_channel_write_message(channel, iov, count,
                                 le32toh(packet->flags) & VIRTIO_VSOCK_SEQ_EOM);
        hx_channel_check(channel);
        return false;
    }
    if (meaning == HX_PACKET_DATA) {
        gather(vsock, channel, chain, iov, size);
        return true;
    }
    write_gathered(vsock);
    switch (meaning) {
    case HX_PACKET_OPENED:
        opened(channel);
        break;
    case HX_PACKET_SHUTDOWN:
        hx_channel_guest_shutdown(channel);
        break;
    case HX_PACKET_RESET:
        hx_channel_detach(channel);
        break;
    case HX_PACKET_VIOLATION:
        hx_log_warning("the guest broke the protocol (operation %u, %u bytes): its connection "
                       "from port %u to port %u is reset",
                       le16toh(packet->op), size, channel->connection.guest_port,
                       channel->connection.host_port);
        hx_channel_reset(channel);
        break;
    default:
        hx_channel_schedule(channel);
        break;
    }
    return false;
}

/* Publish the chains given back, where they have waited long enough. */
static void publish(HxVsock *vsock)
{
    unsigned count = hx_virtqueue_unpublished(vsock->tx);
    if (count == 0) {
        vsock->returned_since = 0;
        return;
    }
    gint64 now = g_get_monotonic_time();
    if (vsock->returned_since == 0)
        vsock->returned_since = now;
    if (!vsock->return_now && count < vsock->tx->size / 4 &&
        vsock->returned_bytes < HX_RETURN_BYTES && now - vsock->returned_since < HX_RETURN_US)
        return;
    hx_virtqueue_flush(vsock->tx);
    vsock->returned_since = 0;
    vsock->returned_bytes = 0;
    vsock->return_now = false;
}

static bool receive_packet(HxVsock *vsock, const HxChain *chain, struct iovec *iov)
{
    struct virtio_vsock_hdr packet;
    if (chain->n_writable > 0 ||
        hx_iov_read(iov, chain->n_readable, &packet, sizeof packet) < sizeof packet) {
        hx_virtqueue_break(vsock->tx, "a packet without a whole header, or one to be written");
        return false;
    }
    unsigned op = le16toh(packet.op), type = le16toh(packet.type);
    uint64_t to = le64toh(packet.dst_cid);
    uint32_t host_port = le32toh(packet.dst_port), guest_port = le32toh(packet.src_port);
    if (le64toh(packet.src_cid) != vsock->guest_cid) {
        hx_log_warning("a packet of the guest's is dropped: it says it is from CID %llu",
                       (unsigned long long)le64toh(packet.src_cid));
        return false;
    }
    if (op != VIRTIO_VSOCK_OP_RW)
        packet.len = 0;
    if (op != VIRTIO_VSOCK_OP_RW && op != VIRTIO_VSOCK_OP_CREDIT_UPDATE)
        vsock->return_now = true; /* rare, and not to be taken twice by a next process */
    uint64_t key = (uint64_t)guest_port << 32 | host_port;
    HxChannel *channel = NULL;
    if (to == HX_VSOCK_HOST_CID && is_known(vsock, type))
        channel = g_hash_table_lookup(vsock->by_ports, &key);
    if (channel && channel->connection.type == type)
        return receive_for(vsock, channel, &packet, chain, iov);
    if (op == VIRTIO_VSOCK_OP_RST)
        return false;
    if (op == VIRTIO_VSOCK_OP_REQUEST && to == HX_VSOCK_HOST_CID && !channel &&
        is_known(vsock, type)) {
        write_gathered(vsock);
        open_for_guest(vsock, &packet);
        return false;
    }
    hx_vsock_refuse(vsock, to, host_port, guest_port, type);
    return false;
}

/* Returns 1 where a packet was taken, 0 where there is none. */
static int take_packet(HxVsock *vsock)
{
    HxChain chain;
    struct iovec *iov = vsock->gather.iov + vsock->gather.n_iov;
    int r = hx_virtqueue_pop(vsock->tx, iov, HX_GATHER_MAX - vsock->gather.n_iov, &chain);
    if (r == -ENOBUFS && vsock->gather.n_iov > 0) {
        write_gathered(vsock);
        iov = vsock->gather.iov;
        r = hx_virtqueue_pop(vsock->tx, iov, HX_GATHER_MAX, &chain);
    }
    if (r == -ENOBUFS)
        hx_virtqueue_break(vsock->tx, "a packet in too many pieces");
    if (r <= 0)
        return 0;
    if (!receive_packet(vsock, &chain, iov)) {
        write_gathered(vsock); /* chains are given back in order */
        hx_virtqueue_push(vsock->tx, chain.head, 0);
    }
    return 1;
}

bool hx_vsock_run_tx(HxVsock *vsock)
{
    HxVirtqueue *queue = vsock->tx;
    if (!hx_virtqueue_usable(queue)) {
        vsock->returned_since = vsock->polling.look_at = 0;
        return false;
    }
    hx_virtqueue_disable_kick(queue);
    bool empty = false;
    for (unsigned i = 0; i < HX_LAP && !empty && vsock->resets_count < HX_RESETS_PAUSE; i++)
        empty = !take_packet(vsock);
    write_gathered(vsock);
    publish(vsock);
    if (!empty) { /* with RSTs to be taken first, it is they that bring us back */
        vsock->polling.look_at = 0;
        return vsock->resets_count < HX_RESETS_PAUSE;
    }
    return !hx_polling_end_lap(&vsock->polling, g_get_monotonic_time()) &&
           hx_virtqueue_enable_kick(queue);
}
