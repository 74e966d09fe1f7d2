/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A vsock device without a host: nothing but its rings and the guest.  What it takes for a round
 * trip is the least that a vsock device can take with this guest, and what it moves is the most.
 *
 * The port that the guest connects to says what becomes of the connection:
 *
 *   5000  each packet's data goes back to the guest
 *   5001  the guest's data is taken, and dropped without a look at it
 *   5002  the guest gets data, as fast as it offers buffers and gives credit; nothing is copied:
 *         the data is what the buffers held
 *
 * The credit is larger than a guest can use up.  When kicks are asked for, and when used chains and
 * credit are told, is as in helixvm-vsock (launcher/vsock/polling.c, device-tx.c, device-rx.c). One
 * connection at a time: the next one takes the place of the last. usage: vsock-floor SOCKET-PATH
 * CID */
#include <endian.h>
#include <glib.h>
#include <linux/virtio_vsock.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "launcher/base/deadline.h"
#include "launcher/base/log.h"
#include "launcher/base/unix-socket.h"
#include "launcher/vsock/channel.h"
#include "launcher/vsock/iov.h"
#include "launcher/vsock/vhost-user.h"

enum { ECHO_PORT = 5000, SINK_PORT, SOURCE_PORT };

#define HEADER sizeof(struct virtio_vsock_hdr)
#define PIECES_MAX 64
#define BUFFER_SIZE (64 * 1024)
#define CREDIT (1u << 30)

typedef struct {
    HxVirtqueue *rx, *tx;
    HxConnection connection;
    bool open;
    struct virtio_vsock_hdr reset; /* of the last one, where it is due */
    bool reset_due;
    gint64 returned_since;
    unsigned returned_bytes;
    HxPolling polling;
    bool return_now;
} Device;

static uint8_t payload[BUFFER_SIZE];

/* --- to the guest --------------------------------------------------------------------------------
 */

/* Take a buffer for a packet.  Returns false where the guest offers none. */
static bool take_buffer(Device *device, struct iovec *iov, HxChain *ret_chain)
{
    return hx_virtqueue_pop(device->rx, iov, PIECES_MAX, ret_chain) == 1 &&
           ret_chain->writable > HEADER;
}

static void give_buffer(Device *device, const struct iovec *iov, const HxChain *chain,
                        struct virtio_vsock_hdr *packet)
{
    packet->buf_alloc = htole32(CREDIT);
    hx_iov_write(iov, chain->n_writable, packet, HEADER);
    hx_virtqueue_push(device->rx, chain->head, HEADER + le32toh(packet->len));
}

static void echo(Device *device, uint32_t size)
{
    struct iovec iov[PIECES_MAX], part[PIECES_MAX];
    struct virtio_vsock_hdr packet;
    HxChain chain;
    if (!take_buffer(device, iov, &chain))
        return;
    size = MIN(size, chain.writable - HEADER);
    hx_connection_data(&device->connection, size, 0, &packet);
    unsigned n = hx_iov_slice(iov, chain.n_writable, HEADER, size, part);
    hx_iov_write(part, n, payload, size);
    give_buffer(device, iov, &chain, &packet);
    hx_virtqueue_flush(device->rx);
    hx_polling_expect_answer(&device->polling);
}

/* Returns false where buffers ran out. */
static bool send_control(Device *device)
{
    struct iovec iov[PIECES_MAX];
    HxConnection *c = &device->connection;
    while (device->reset_due || (device->open && hx_connection_control_due(c))) {
        struct virtio_vsock_hdr packet;
        HxChain chain;
        if (!take_buffer(device, iov, &chain))
            return false;
        if (device->reset_due)
            packet = device->reset;
        else
            hx_connection_control(c, &packet);
        device->reset_due = false;
        give_buffer(device, iov, &chain, &packet);
    }
    return true;
}

/* All that there is credit for.  Returns false where buffers ran out. */
static bool fill_buffers(Device *device)
{
    struct iovec iov[PIECES_MAX];
    uint32_t credit;
    while ((credit = hx_connection_credit(&device->connection)) > 0) {
        struct virtio_vsock_hdr packet;
        HxChain chain;
        if (!take_buffer(device, iov, &chain))
            return false;
        hx_connection_data(&device->connection, MIN(chain.writable - HEADER, credit), 0, &packet);
        give_buffer(device, iov, &chain, &packet);
    }
    return true;
}

/* Returns whether to come back at once. */
static bool run_rx(Device *device)
{
    hx_virtqueue_disable_kick(device->rx);
    bool room = send_control(device);
    if (room && device->open && device->connection.host_port == SOURCE_PORT)
        room = fill_buffers(device);
    hx_virtqueue_flush(device->rx);
    return !room && hx_virtqueue_enable_kick(device->rx);
}

/* --- from the guest ------------------------------------------------------------------------------
 */

static void take_data(Device *device, const struct iovec *iov, const HxChain *chain, uint32_t size)
{
    HxConnection *c = &device->connection;
    hx_connection_forwarded(c, size);
    device->returned_bytes += size;
    hx_polling_count(&device->polling, size, hx_connection_window(c));
    if (c->host_port == ECHO_PORT) {
        struct iovec part[PIECES_MAX];
        size = MIN(size, sizeof payload);
        hx_iov_read(part, hx_iov_slice(iov, chain->n_readable, HEADER, size, part), payload, size);
        echo(device, size);
    }
}

static void take_packet(Device *device, const struct iovec *iov, const HxChain *chain)
{
    struct virtio_vsock_hdr packet;
    if (hx_iov_read(iov, chain->n_readable, &packet, HEADER) < HEADER)
        return;
    HxConnection *c = &device->connection;
    unsigned op = le16toh(packet.op);
    device->return_now |= op != VIRTIO_VSOCK_OP_RW && op != VIRTIO_VSOCK_OP_CREDIT_UPDATE;
    if (op == VIRTIO_VSOCK_OP_REQUEST) {
        hx_connection_accept(c, le64toh(packet.src_cid), &packet);
        device->open = true;
        return;
    }
    if (!device->open || le32toh(packet.src_port) != c->guest_port)
        return;
    switch (hx_connection_receive(c, &packet)) {
    case HX_PACKET_DATA:
        take_data(device, iov, chain, le32toh(packet.len));
        break;
    case HX_PACKET_SHUTDOWN:
    case HX_PACKET_VIOLATION:
        hx_connection_data(c, 0, 0, &device->reset); /* all but the operation */
        device->reset.op = htole16(VIRTIO_VSOCK_OP_RST);
        device->reset_due = true;
        device->open = false;
        break;
    case HX_PACKET_RESET:
        device->open = false;
        break;
    default:
        break;
    }
}

static void publish(Device *device)
{
    unsigned count = hx_virtqueue_unpublished(device->tx);
    gint64 now = g_get_monotonic_time();
    if (device->returned_since == 0)
        device->returned_since = now;
    if (count == 0 || device->return_now || count >= device->tx->size / 4 ||
        device->returned_bytes >= HX_RETURN_BYTES || now - device->returned_since >= HX_RETURN_US) {
        hx_virtqueue_flush(device->tx);
        device->returned_since = device->returned_bytes = 0;
        device->return_now = false;
    }
}

/* Returns whether to come back at once. */
static bool run_tx(Device *device)
{
    struct iovec iov[PIECES_MAX];
    HxChain chain;
    unsigned count = 0;
    hx_virtqueue_disable_kick(device->tx);
    for (; count < HX_LAP && hx_virtqueue_pop(device->tx, iov, PIECES_MAX, &chain) == 1; count++) {
        take_packet(device, iov, &chain);
        hx_virtqueue_push(device->tx, chain.head, 0);
    }
    publish(device);
    return count == HX_LAP || (!hx_polling_end_lap(&device->polling, g_get_monotonic_time()) &&
                               hx_virtqueue_enable_kick(device->tx));
}

/* --- both ----------------------------------------------------------------------------------------
 */

/* Returns how long to wait for events, in µs. */
static int64_t run(Device *device)
{
    if (!hx_virtqueue_usable(device->rx) || !hx_virtqueue_usable(device->tx))
        return -1;
    bool more = run_tx(device);
    more |= run_rx(device);
    if (more)
        return 0;
    gint64 at = device->returned_since ? device->returned_since + HX_RETURN_US : G_MAXINT64;
    if (device->polling.look_at)
        at = MIN(at, device->polling.look_at);
    return at == G_MAXINT64 ? -1 : hx_time_left(at);
}

static void forget_connection(void *data)
{
    Device *device = data;
    *device = (Device){.rx = device->rx, .tx = device->tx};
}

int main(int argc, char **argv)
{
    hx_log_init("vsock-floor", TRUE);
    HxEvents events;
    HxSession session;
    Device device = {.rx = NULL};
    int r, fd = argc == 3 ? hx_unix_listen(argv[1], SOCK_STREAM | SOCK_NONBLOCK, 0600) : -EINVAL;
    if (fd < 0 || hx_events_init(&events) < 0 || hx_session_init(&session, -1, 1) < 0) {
        hx_log_error("cannot listen: %s", g_strerror(-fd));
        return 1;
    }
    HxVhostUser *vhost =
        hx_vhost_user_new(&events, &session, fd, atoi(argv[2]), forget_connection, &device, &r);
    if (!vhost)
        return 1;
    device.rx = hx_vhost_user_queue(vhost, HX_VSOCK_RX);
    device.tx = hx_vhost_user_queue(vhost, HX_VSOCK_TX);
    for (int64_t timeout = -1; hx_events_dispatch(&events, timeout) == 0; timeout = run(&device))
        ;
    return 1;
}
