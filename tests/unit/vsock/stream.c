/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the device leaves out while a guest streams: kicks, and interrupts for chains given back. */
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "launcher/base/fd.h"
#include "tests/fakes/vsock-peer.h"

#define PACKETS 400
#define ATTEMPTS 10

static void read_all(int fd, size_t size)
{
    static uint8_t data[4096];
    while (size > 0) {
        ssize_t n = recv(fd, data, MIN(size, sizeof data), 0);
        g_assert_cmpint(n, >, 0);
        size -= n;
    }
}

/* Send packets, each when the one before it has arrived.  Returns the kicks. */
static unsigned stream(Frontend *f, Peer *p, uint32_t size)
{
    static uint8_t data[4096];
    unsigned before = f->queues[1].kicks;
    for (unsigned i = 0; i < PACKETS; i++) {
        peer_send(p, VIRTIO_VSOCK_OP_RW, 0, data, size);
        read_all(p->fd, size);
        struct virtio_vsock_hdr hdr;
        while (frontend_receive(f, 0, &hdr, NULL))
            g_assert_cmpuint(hdr.op, ==, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
    }
    return f->queues[1].kicks - before;
}

static void test_kicks(gconstpointer data)
{
    Frontend *f = frontend_new(*(const FrontendOptions *)data);
    Peer p = guest_connects(f, 1000, 5000);
    /* Where this process gets no CPU time for long, there is no stream. */
    unsigned least = PACKETS;
    for (unsigned i = 0; i < ATTEMPTS && least > PACKETS / 4; i++)
        least = MIN(least, stream(f, &p, 4096));
    g_assert_cmpuint(least, <=, PACKETS / 4);
    /* After it the device sleeps until it is kicked. */
    g_usleep(20000);
    unsigned kicks = f->queues[1].kicks;
    peer_send(&p, VIRTIO_VSOCK_OP_RW, 0, "late", 4);
    g_assert_cmpuint(f->queues[1].kicks, ==, kicks + 1);
    read_all(p.fd, 4);
    hx_close(&p.fd);
    frontend_free(f);
}

/* What is no data is given back before it is answered: a process after this one is not to take it
 * again.  Data is, also where none follows, and by GET_VRING_BASE. */
static void test_given_back(void)
{
    Frontend *f = frontend_new((FrontendOptions){.event_idx = true});
    Peer p = guest_connects(f, 1000, 5000);
    const struct vring *tx = &f->queues[1].vring;
    g_assert_cmpuint(__atomic_load_n(&tx->used->idx, __ATOMIC_ACQUIRE), ==, tx->avail->idx);
    peer_send(&p, VIRTIO_VSOCK_OP_RW, 0, "a", 1);
    frontend_wait_sent(f);
    read_all(p.fd, 1);
    for (unsigned i = 0; i < 50; i++) {
        peer_send(&p, VIRTIO_VSOCK_OP_RW, 0, "b", 1);
        read_all(p.fd, 1);
        unsigned base[2];
        frontend_stop(f, base);
        g_assert_cmpuint(tx->used->idx, ==, base[1]);
        frontend_resume(f, base);
    }
    hx_close(&p.fd);
    frontend_free(f);
}

/* A driver that wants no interrupts has none, for either queue. */
static void test_interrupts(gconstpointer data)
{
    enum { FEW = 50 };
    Frontend *f = frontend_new(*(const FrontendOptions *)data);
    Peer p = guest_connects(f, 1000, 5000);
    frontend_wait_sent(f);
    eventfd_t count[2] = {0, 0};
    uint16_t before[2];
    for (unsigned i = 0; i < 2; i++) {
        FrontendQueue *q = &f->queues[i];
        vring_used_event(&q->vring) = q->last_used + 10000;
        if (!f->options.event_idx)
            q->vring.avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
        eventfd_read(q->call, &count[i]);
        before[i] = q->last_used;
        count[i] = 0;
    }
    for (unsigned i = 0; i < FEW; i++) {
        g_assert_cmpint(hx_write_all(p.fd, "to guest", 8), ==, 0);
        peer_send(&p, VIRTIO_VSOCK_OP_RW, 0, "to host", 7);
        expect_text(p.fd, "to host");
        g_usleep(2000); /* by then it is given back */
    }
    for (unsigned i = 0; i < 2; i++) {
        FrontendQueue *q = &f->queues[i];
        g_assert_cmpuint((uint16_t)(q->vring.used->idx - before[i]), >=, FEW / 2);
        eventfd_read(q->call, &count[i]);
        g_assert_cmpuint(count[i], ==, 0);
    }
    hx_close(&p.fd);
    frontend_free(f);
}

int main(int argc, char **argv)
{
    static const FrontendOptions plain = {.event_idx = false}, event_idx = {.event_idx = true};
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/vsock/stream/kicks/plain", &plain, test_kicks);
    g_test_add_data_func("/vsock/stream/kicks/event-idx", &event_idx, test_kicks);
    g_test_add_func("/vsock/stream/given-back", test_given_back);
    g_test_add_data_func("/vsock/stream/interrupts/plain", &plain, test_interrupts);
    g_test_add_data_func("/vsock/stream/interrupts/event-idx", &event_idx, test_interrupts);
    return g_test_run();
}
