/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The floor of the vsock benchmark: a device that answers within the round of packets, without a
 * host socket.  Accepts each connection and echoes what comes in it.
 * usage: vsock-floor SOCKET-PATH CID */
#include <endian.h>
#include <glib.h>
#include <linux/virtio_vsock.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "launcher/base/log.h"
#include "launcher/base/unix-socket.h"
#include "launcher/vsock/iov.h"
#include "launcher/vsock/vhost-user.h"

#define PIECES_MAX 64
#define BUFFER_SIZE (64 * 1024)

static uint8_t payload[BUFFER_SIZE];

/* Put a packet that answers @to into the guest's next buffer. */
static void answer(HxVirtqueue *rx, const struct virtio_vsock_hdr *to, unsigned op, uint32_t size)
{
    struct iovec iov[PIECES_MAX], part[PIECES_MAX];
    HxChain chain;
    if (hx_virtqueue_pop(rx, iov, PIECES_MAX, &chain) != 1)
        return;
    size = MIN(size, chain.writable - sizeof *to);
    struct virtio_vsock_hdr packet = {
        .src_cid = to->dst_cid,
        .dst_cid = to->src_cid,
        .src_port = to->dst_port,
        .dst_port = to->src_port,
        .len = htole32(size),
        .type = to->type,
        .op = htole16(op),
        .buf_alloc = htole32(1u << 30),
        .fwd_cnt = to->fwd_cnt, /* close enough for small messages and so large a buffer */
    };
    hx_iov_write(iov, chain.n_writable, &packet, sizeof packet);
    unsigned n = hx_iov_slice(iov, chain.n_writable, sizeof packet, size, part);
    hx_iov_write(part, n, payload, size);
    hx_virtqueue_push(rx, chain.head, sizeof packet + size);
}

static void take(HxVirtqueue *rx, const struct iovec *iov, const HxChain *chain)
{
    struct virtio_vsock_hdr packet;
    struct iovec part[PIECES_MAX];
    if (hx_iov_read(iov, chain->n_readable, &packet, sizeof packet) < sizeof packet)
        return;
    uint32_t size = MIN(le32toh(packet.len), sizeof payload);
    switch (le16toh(packet.op)) {
    case VIRTIO_VSOCK_OP_REQUEST:
        answer(rx, &packet, VIRTIO_VSOCK_OP_RESPONSE, 0);
        break;
    case VIRTIO_VSOCK_OP_SHUTDOWN:
        answer(rx, &packet, VIRTIO_VSOCK_OP_RST, 0);
        break;
    case VIRTIO_VSOCK_OP_RW: {
        unsigned n = hx_iov_slice(iov, chain->n_readable, sizeof packet, size, part);
        hx_iov_read(part, n, payload, size);
        answer(rx, &packet, VIRTIO_VSOCK_OP_RW, size);
        break;
    }
    default:
        break;
    }
}

static void run_queues(HxVirtqueue *rx, HxVirtqueue *tx)
{
    struct iovec iov[PIECES_MAX];
    HxChain chain;
    if (!hx_virtqueue_usable(rx) || !hx_virtqueue_usable(tx))
        return;
    do {
        hx_virtqueue_disable_kick(tx);
        while (hx_virtqueue_pop(tx, iov, PIECES_MAX, &chain) == 1) {
            take(rx, iov, &chain);
            hx_virtqueue_flush(rx);
            hx_virtqueue_push(tx, chain.head, 0);
        }
        /* As helixvm-vsock does it: the guest has no use for each of them. */
        if (hx_virtqueue_unpublished(tx) >= tx->size / 4)
            hx_virtqueue_flush(tx);
    } while (hx_virtqueue_enable_kick(tx));
}

static void nothing(void *data)
{
}

int main(int argc, char **argv)
{
    hx_log_init("vsock-floor", TRUE);
    HxEvents events;
    HxSession session;
    int r, fd = argc == 3 ? hx_unix_listen(argv[1], SOCK_STREAM | SOCK_NONBLOCK, 0600) : -EINVAL;
    if (fd < 0 || hx_events_init(&events) < 0 || hx_session_init(&session, -1, 1) < 0) {
        hx_log_error("cannot listen: %s", g_strerror(-fd));
        return 1;
    }
    HxVhostUser *vhost = hx_vhost_user_new(&events, &session, fd, atoi(argv[2]), nothing, NULL, &r);
    while (vhost && hx_events_dispatch(&events, -1) == 0)
        run_queues(hx_vhost_user_queue(vhost, HX_VSOCK_RX),
                   hx_vhost_user_queue(vhost, HX_VSOCK_TX));
    return 1;
}
