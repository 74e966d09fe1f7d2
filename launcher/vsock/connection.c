/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Theory of operation
 *
 *   guest's REQUEST ──────────────────────────► OPEN, RESPONSE due
 *   host's request: REQUESTED, REQUEST due ──RESPONSE──► OPEN
 *
 * There is no closing state: each direction ends by itself, in guest_shutdown (told by the guest)
 * and host_shutdown (told to it), and the connection is over with an RST of either side.  A guest
 * that shut both down waits for our RST.
 *
 * Credit: each side says in every packet how large its buffer is and how many bytes have left it.
 * The other may have at most the buffer's size under way.  We send an update of our own when half
 * the buffer, or of the guest's own where that is smaller, has left since the guest was last told,
 * so that a guest which sends all the time never runs dry and one which has filled the buffer
 * always hears from us: Linux has no more under way than its own buffer holds, either.  With
 * messages we send one whenever bytes have left: a buffer can be full with the beginning of a
 * message, which does not leave before its end has come.  We never ask for credit: a receiver tells
 * by itself when there is room again, and asking earlier would only make packets small.
 */
#include "launcher/vsock/connection.h"

#include <endian.h>
#include <glib.h>
#include <string.h>

#define BOTH (VIRTIO_VSOCK_SHUTDOWN_RCV | VIRTIO_VSOCK_SHUTDOWN_SEND)

static void take_credit(HxConnection *c, const struct virtio_vsock_hdr *packet)
{
    c->guest_buffer = le32toh(packet->buf_alloc);
    c->guest_forwarded = le32toh(packet->fwd_cnt);
}

uint32_t hx_connection_window(const HxConnection *c)
{
    return MIN(c->guest_buffer, HX_CONNECTION_BUFFER);
}

/* Whether the guest is to hear now how many bytes have left the buffer. */
static void update_credit(HxConnection *c)
{
    uint32_t left = c->forwarded - c->forwarded_told;
    uint32_t enough = c->type == VIRTIO_VSOCK_TYPE_SEQPACKET ? 1 : hx_connection_window(c) / 2;
    if (left > 0 && left >= enough && !(c->guest_shutdown & VIRTIO_VSOCK_SHUTDOWN_SEND))
        c->credit_due = true;
}

void hx_connection_accept(HxConnection *c, uint64_t guest_cid,
                          const struct virtio_vsock_hdr *request)
{
    *c = (HxConnection){
        .guest_cid = guest_cid,
        .guest_port = le32toh(request->src_port),
        .host_port = le32toh(request->dst_port),
        .type = le16toh(request->type),
        .state = HX_CONNECTION_OPEN,
        .greeting_due = true,
    };
    take_credit(c, request);
}

void hx_connection_request(HxConnection *c, uint16_t type, uint64_t guest_cid, uint32_t guest_port,
                           uint32_t host_port)
{
    *c = (HxConnection){
        .guest_cid = guest_cid,
        .guest_port = guest_port,
        .host_port = host_port,
        .type = type,
        .state = HX_CONNECTION_REQUESTED,
        .greeting_due = true,
    };
}

static HxPacketMeaning receive_data(HxConnection *c, uint32_t size, uint32_t flags)
{
    bool ends = c->type == VIRTIO_VSOCK_TYPE_SEQPACKET && flags & VIRTIO_VSOCK_SEQ_EOM;
    uint32_t held = c->received - c->forwarded;
    if (c->guest_shutdown & VIRTIO_VSOCK_SHUTDOWN_SEND || size > HX_CONNECTION_BUFFER - held)
        return HX_PACKET_VIOLATION;
    c->received += size;
    return size > 0 || ends ? HX_PACKET_DATA : HX_PACKET_NOTHING;
}

HxPacketMeaning hx_connection_receive(HxConnection *c, const struct virtio_vsock_hdr *packet)
{
    unsigned op = le16toh(packet->op);
    if (op == VIRTIO_VSOCK_OP_RST)
        return HX_PACKET_RESET;
    if (c->state == HX_CONNECTION_REQUESTED) {
        if (op != VIRTIO_VSOCK_OP_RESPONSE || c->greeting_due)
            return HX_PACKET_VIOLATION;
        take_credit(c, packet);
        c->state = HX_CONNECTION_OPEN;
        return HX_PACKET_OPENED;
    }
    take_credit(c, packet);
    update_credit(c); /* its buffer may have shrunk */
    switch (op) {
    case VIRTIO_VSOCK_OP_RW:
        return receive_data(c, le32toh(packet->len), le32toh(packet->flags));
    case VIRTIO_VSOCK_OP_SHUTDOWN:
        c->guest_shutdown |= le32toh(packet->flags) & BOTH;
        return HX_PACKET_SHUTDOWN;
    case VIRTIO_VSOCK_OP_CREDIT_UPDATE:
        return HX_PACKET_NOTHING;
    case VIRTIO_VSOCK_OP_CREDIT_REQUEST:
        c->credit_due = true;
        return HX_PACKET_NOTHING;
    default:
        return HX_PACKET_VIOLATION;
    }
}

void hx_connection_forwarded(HxConnection *c, uint32_t size)
{
    c->forwarded += size;
    update_credit(c);
}

bool hx_connection_control_due(const HxConnection *c)
{
    return c->greeting_due || (c->state == HX_CONNECTION_OPEN &&
                               (c->credit_due || c->host_shutdown != c->host_shutdown_told));
}

/* The fields of every packet; with it the guest knows all about our side of the credit. */
static void fill(HxConnection *c, unsigned op, uint32_t flags, uint32_t size,
                 struct virtio_vsock_hdr *ret_packet)
{
    *ret_packet = (struct virtio_vsock_hdr){
        .src_cid = htole64(HX_VSOCK_HOST_CID),
        .dst_cid = htole64(c->guest_cid),
        .src_port = htole32(c->host_port),
        .dst_port = htole32(c->guest_port),
        .len = htole32(size),
        .type = htole16(c->type),
        .op = htole16(op),
        .flags = htole32(flags),
        .buf_alloc = htole32(HX_CONNECTION_BUFFER),
        .fwd_cnt = htole32(c->forwarded),
    };
    c->forwarded_told = c->forwarded;
    c->credit_due = false;
}

void hx_connection_control(HxConnection *c, struct virtio_vsock_hdr *ret_packet)
{
    if (c->greeting_due) {
        bool asked = c->state == HX_CONNECTION_REQUESTED;
        fill(c, asked ? VIRTIO_VSOCK_OP_REQUEST : VIRTIO_VSOCK_OP_RESPONSE, 0, 0, ret_packet);
        c->greeting_due = false;
    } else if (c->host_shutdown != c->host_shutdown_told) {
        fill(c, VIRTIO_VSOCK_OP_SHUTDOWN, c->host_shutdown, 0, ret_packet);
        c->host_shutdown_told = c->host_shutdown;
    } else {
        fill(c, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0, 0, ret_packet);
    }
}

uint32_t hx_connection_credit(const HxConnection *c)
{
    if (c->state != HX_CONNECTION_OPEN || c->guest_shutdown & VIRTIO_VSOCK_SHUTDOWN_RCV)
        return 0;
    uint32_t under_way = c->sent - c->guest_forwarded;
    /* A guest may shrink its buffer below what is under way. */
    return under_way < c->guest_buffer ? c->guest_buffer - under_way : 0;
}

void hx_connection_data(HxConnection *c, uint32_t size, uint32_t flags,
                        struct virtio_vsock_hdr *ret_packet)
{
    fill(c, VIRTIO_VSOCK_OP_RW, flags, size, ret_packet);
    c->sent += size;
}

bool hx_connection_guest_done(const HxConnection *c)
{
    return c->guest_shutdown == BOTH;
}
