/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Ends of the host's programs that the device reads before epoll has told of them: here the test,
 * in one process with the device, decides when epoll is asked. */
#include <glib.h>
#include <linux/virtio_ring.h>
#include <linux/virtio_vsock.h>
#include <string.h>
#include <sys/socket.h>

#include "launcher/base/fd.h"
#include "launcher/vsock/connection.h"
#include "tests/fuzz/device.h"

#define RCV VIRTIO_VSOCK_SHUTDOWN_RCV
#define SEND VIRTIO_VSOCK_SHUTDOWN_SEND
#define QUEUE 16
#define HEADER sizeof(struct virtio_vsock_hdr)
#define SLOT 0x100
/* A byte of payload fills a buffer, so that a stream is read again at once. */
#define BUFFER (HEADER + 1)

static FuzzDevice *device;
static uint16_t seen; /* of the device's packets */

static uint8_t *slot(unsigned i)
{
    return device->bytes + FUZZ_FREE + i * SLOT;
}

static void offer(unsigned queue, unsigned i, unsigned size, unsigned flags)
{
    uint64_t address = FUZZ_GUEST_BASE + (slot(i) - device->bytes);
    device->vrings[queue].desc[i] = (struct vring_desc){address, size, flags, 0};
    fuzz_offer(device, queue, i);
}

/* The device's next packet must be an @op. */
static struct virtio_vsock_hdr expect(unsigned op)
{
    struct vring *vring = &device->vrings[FUZZ_RX];
    g_assert_cmpuint(vring->used->idx, !=, seen);
    struct virtio_vsock_hdr hdr;
    memcpy(&hdr, slot(vring->used->ring[seen++ % QUEUE].id), HEADER);
    g_assert_cmpuint(hdr.op, ==, op);
    return hdr;
}

static void expect_nothing(void)
{
    g_assert_cmpuint(device->vrings[FUZZ_RX].used->idx, ==, seen);
}

/* The guest connects; returns the host's program's socket. */
static int connect_host(unsigned type)
{
    unsigned port = type == VIRTIO_VSOCK_TYPE_STREAM ? 1 : FUZZ_PORTS;
    fuzz_device_start(device, QUEUE, false, false);
    seen = 0;
    for (unsigned i = 1; i < QUEUE; i++)
        offer(FUZZ_RX, i, BUFFER, VRING_DESC_F_WRITE);
    const struct virtio_vsock_hdr request = {
        .src_cid = FUZZ_CID,
        .dst_cid = HX_VSOCK_HOST_CID,
        .src_port = 100,
        .dst_port = port,
        .type = type,
        .op = VIRTIO_VSOCK_OP_REQUEST,
        .buf_alloc = 0x10000,
    };
    memcpy(slot(0), &request, HEADER);
    offer(FUZZ_TX, 0, HEADER, 0);
    fuzz_device_run(device, 8);
    expect(VIRTIO_VSOCK_OP_RESPONSE);
    int fd = fuzz_accept(device, port - 1);
    g_assert_cmpint(fd, >=, 0);
    return fd;
}

/* The program sends a byte, of which epoll tells. */
static void announce_byte(int fd)
{
    g_assert_cmpint(send(fd, "x", 1, 0), ==, 1);
    g_assert_cmpint(hx_events_dispatch(&device->events, 0), ==, 0);
}

/* The byte and the end behind it are read in one lap. */
static void read_to_end(void)
{
    hx_vsock_run(device->vsock);
    g_assert_cmpuint(expect(VIRTIO_VSOCK_OP_RW).len, ==, 1);
    fuzz_device_run(device, 8);
}

static void test_closed(gconstpointer type)
{
    hx_autofd int fd = connect_host(GPOINTER_TO_UINT(type));
    announce_byte(fd);
    hx_close(&fd);
    read_to_end();
    g_assert_cmpuint(expect(VIRTIO_VSOCK_OP_SHUTDOWN).flags, ==, RCV | SEND);
    expect_nothing();
    fuzz_device_stop(device);
}

static void test_half_closed(gconstpointer type)
{
    hx_autofd int fd = connect_host(GPOINTER_TO_UINT(type));
    announce_byte(fd);
    g_assert_cmpint(shutdown(fd, SHUT_WR), ==, 0);
    read_to_end();
    g_assert_cmpuint(expect(VIRTIO_VSOCK_OP_SHUTDOWN).flags, ==, SEND);
    expect_nothing();
    hx_close(&fd);
    fuzz_device_run(device, 8);
    g_assert_cmpuint(expect(VIRTIO_VSOCK_OP_SHUTDOWN).flags, ==, RCV | SEND);
    expect_nothing();
    fuzz_device_stop(device);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    device = fuzz_device_new();
    gpointer stream = GUINT_TO_POINTER(VIRTIO_VSOCK_TYPE_STREAM);
    gpointer seqpacket = GUINT_TO_POINTER(VIRTIO_VSOCK_TYPE_SEQPACKET);
    g_test_add_data_func("/vsock/ending/closed/stream", stream, test_closed);
    g_test_add_data_func("/vsock/ending/closed/seqpacket", seqpacket, test_closed);
    g_test_add_data_func("/vsock/ending/half-closed/stream", stream, test_half_closed);
    g_test_add_data_func("/vsock/ending/half-closed/seqpacket", seqpacket, test_half_closed);
    return g_test_run();
}
