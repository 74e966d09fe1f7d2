/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The device process as a guest's driver and programs of the host see it. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "launcher/base/fd.h"
#include "launcher/base/unix-socket.h"
#include "launcher/vsock/connection.h"
#include "tests/fakes/vsock-peer.h"

#define RCV VIRTIO_VSOCK_SHUTDOWN_RCV
#define SEND VIRTIO_VSOCK_SHUTDOWN_SEND

static void test_negotiation(void)
{
    Frontend *f = frontend_new((FrontendOptions){.no_driver = true});
    uint64_t u64 = 0;
    frontend_message(f, HX_VHOST_GET_FEATURES, 1, NULL, 0, NULL, 0);
    frontend_reply(f, HX_VHOST_GET_FEATURES, &u64, sizeof u64);
    g_assert_cmphex(u64, ==, 1ull << 32 | 1ull << 30 | 1ull << 29 | 1ull << 28 | 1ull << 1);
    frontend_message(f, HX_VHOST_GET_PROTOCOL_FEATURES, 1, NULL, 0, NULL, 0);
    frontend_reply(f, HX_VHOST_GET_PROTOCOL_FEATURES, &u64, sizeof u64);
    g_assert_cmphex(u64, ==, 1ull << 0 | 1ull << 3 | 1ull << 9 | 1ull << 13);
    frontend_message(f, HX_VHOST_GET_QUEUE_NUM, 1, NULL, 0, NULL, 0);
    frontend_reply(f, HX_VHOST_GET_QUEUE_NUM, &u64, sizeof u64);
    g_assert_cmpuint(u64, ==, 2);
    struct {
        uint32_t offset, size, flags;
        uint8_t data[8];
    } config = {0, 8, 0, ""};
    frontend_message(f, HX_VHOST_GET_CONFIG, 1, &config, sizeof config, NULL, 0);
    frontend_reply(f, HX_VHOST_GET_CONFIG, &config, sizeof config);
    g_assert_cmpmem(config.data, 8, "\x2a\0\0\0\0\0\0\0", 8);
    frontend_free(f);
}

static void test_refusals(void)
{
    Frontend *f = frontend_new((FrontendOptions){.event_idx = true});
    Peer p = {.f = f, .guest_port = 1000, .host_port = 5000};
    struct virtio_vsock_hdr hdr;
    /* Nobody listens. */
    peer_send(&p, VIRTIO_VSOCK_OP_REQUEST, 0, NULL, 0);
    peer_expect(&p, VIRTIO_VSOCK_OP_RST);
    /* No such connection: whatever is said to it, but never an RST for an RST. */
    for (unsigned op = 0; op < 20; op++) {
        peer_send(&p, op, 3, "data", op == VIRTIO_VSOCK_OP_RW ? 4 : 0);
        if (op != VIRTIO_VSOCK_OP_RST)
            peer_expect(&p, VIRTIO_VSOCK_OP_RST);
    }
    /* A type that is not offered, and another CID: from the address that was asked. */
    hdr = (struct virtio_vsock_hdr){.src_cid = FRONTEND_CID,
                                    .dst_cid = 2,
                                    .src_port = 7,
                                    .dst_port = 8,
                                    .type = VIRTIO_VSOCK_TYPE_SEQPACKET,
                                    .op = VIRTIO_VSOCK_OP_REQUEST};
    frontend_send(f, &hdr, NULL);
    g_assert_true(frontend_receive(f, FRONTEND_TIMEOUT, &hdr, NULL));
    g_assert_cmpuint(hdr.op, ==, VIRTIO_VSOCK_OP_RST);
    g_assert_cmpuint(hdr.type, ==, VIRTIO_VSOCK_TYPE_SEQPACKET);
    hdr = (struct virtio_vsock_hdr){.src_cid = FRONTEND_CID,
                                    .dst_cid = 77,
                                    .src_port = 7,
                                    .dst_port = 8,
                                    .type = 1,
                                    .op = VIRTIO_VSOCK_OP_REQUEST};
    frontend_send(f, &hdr, NULL);
    g_assert_true(frontend_receive(f, FRONTEND_TIMEOUT, &hdr, NULL));
    g_assert_cmpuint(hdr.op, ==, VIRTIO_VSOCK_OP_RST);
    g_assert_cmpuint(hdr.src_cid, ==, 77);
    /* A forged sender is not answered: it could be anybody's. */
    hdr = (struct virtio_vsock_hdr){.src_cid = FRONTEND_CID + 1,
                                    .dst_cid = 2,
                                    .src_port = 7,
                                    .dst_port = 8,
                                    .type = 1,
                                    .op = VIRTIO_VSOCK_OP_REQUEST};
    frontend_send(f, &hdr, NULL);
    frontend_wait_sent(f);
    frontend_expect_silence(f);
    /* A second request for an open connection. */
    p = guest_connects(f, 1000, 5000);
    peer_send(&p, VIRTIO_VSOCK_OP_REQUEST, 0, NULL, 0);
    peer_expect(&p, VIRTIO_VSOCK_OP_RST);
    expect_end(p.fd);
    hx_close(&p.fd);
    frontend_free(f);
}

/* Each flag, from either side. */
static void test_shutdown(void)
{
    Frontend *f = frontend_new((FrontendOptions){.indirect = true});
    /* The guest sends no more: the host sees the end after the data, and can still answer. */
    Peer p = guest_connects(f, 1000, 5000);
    peer_send(&p, VIRTIO_VSOCK_OP_RW, 0, "READY=1", 7);
    peer_send(&p, VIRTIO_VSOCK_OP_SHUTDOWN, SEND, NULL, 0);
    expect_text(p.fd, "READY=1");
    expect_end(p.fd);
    g_assert_cmpint(hx_write_all(p.fd, "answer", 6), ==, 0);
    struct virtio_vsock_hdr hdr = peer_expect(&p, VIRTIO_VSOCK_OP_RW);
    g_assert_cmpmem(peer_data, hdr.len, "answer", 6);
    hx_close(&p.fd);
    hdr = peer_expect(&p, VIRTIO_VSOCK_OP_SHUTDOWN);
    g_assert_cmpuint(hdr.flags, ==, RCV | SEND);
    peer_send(&p, VIRTIO_VSOCK_OP_SHUTDOWN, RCV | SEND, NULL, 0);
    peer_expect(&p, VIRTIO_VSOCK_OP_RST);

    /* The guest takes no more, but sends. */
    p = guest_connects(f, 1000, 5000);
    peer_send(&p, VIRTIO_VSOCK_OP_SHUTDOWN, RCV, NULL, 0);
    peer_send(&p, VIRTIO_VSOCK_OP_RW, 0, "one way", 7);
    expect_text(p.fd, "one way");
    g_assert_cmpint(hx_write_all(p.fd, "x", 1), ==, -EPIPE);
    frontend_expect_silence(f);
    hx_close(&p.fd);
    hdr = peer_expect(&p, VIRTIO_VSOCK_OP_SHUTDOWN);
    g_assert_cmpuint(hdr.flags, ==, RCV | SEND);
    peer_send(&p, VIRTIO_VSOCK_OP_RST, 0, NULL, 0);

    /* Both at once: RST confirms, and the same ports serve again. */
    p = guest_connects(f, 1000, 5000);
    peer_send(&p, VIRTIO_VSOCK_OP_RW, 0, "bye", 3);
    peer_send(&p, VIRTIO_VSOCK_OP_SHUTDOWN, RCV | SEND, NULL, 0);
    peer_expect(&p, VIRTIO_VSOCK_OP_RST);
    expect_text(p.fd, "bye");
    expect_end(p.fd);
    hx_close(&p.fd);

    /* The host half-closes; the guest goes on sending. */
    p = guest_connects(f, 1000, 5000);
    g_assert_cmpint(hx_write_all(p.fd, "last", 4), ==, 0);
    shutdown(p.fd, SHUT_WR);
    hdr = peer_expect(&p, VIRTIO_VSOCK_OP_RW);
    g_assert_cmpuint(hdr.len, ==, 4);
    hdr = peer_expect(&p, VIRTIO_VSOCK_OP_SHUTDOWN);
    g_assert_cmpuint(hdr.flags, ==, SEND);
    peer_send(&p, VIRTIO_VSOCK_OP_RW, 0, "still", 5);
    expect_text(p.fd, "still");
    hx_close(&p.fd);
    hdr = peer_expect(&p, VIRTIO_VSOCK_OP_SHUTDOWN);
    g_assert_cmpuint(hdr.flags, ==, RCV | SEND);
    peer_send(&p, VIRTIO_VSOCK_OP_RST, 0, NULL, 0);

    /* The host takes no more. */
    p = guest_connects(f, 1000, 5000);
    shutdown(p.fd, SHUT_RD);
    peer_send(&p, VIRTIO_VSOCK_OP_RW, 0, "lost", 4);
    hdr = peer_expect(&p, VIRTIO_VSOCK_OP_SHUTDOWN);
    g_assert_cmpuint(hdr.flags, ==, RCV);
    g_assert_cmpuint(hdr.fwd_cnt, ==, 4);
    g_assert_cmpint(hx_write_all(p.fd, "but speaks", 10), ==, 0);
    hdr = peer_expect(&p, VIRTIO_VSOCK_OP_RW);
    g_assert_cmpuint(hdr.len, ==, 10);

    /* RST ends it there and then. */
    peer_send(&p, VIRTIO_VSOCK_OP_RST, 0, NULL, 0);
    frontend_wait_sent(f);
    frontend_expect_silence(f);
    g_assert_cmpint(hx_write_all(p.fd, "x", 1), ==, -EPIPE);
    hx_close(&p.fd);
    frontend_free(f);
}

static void test_host_connects(void)
{
    Frontend *f = frontend_new((FrontendOptions){.event_idx = true, .indirect = true});
    /* What is sent right behind the line is the guest's. */
    Peer p = host_connects(f, 22, "SSH-2.0\r\n");
    struct virtio_vsock_hdr hdr = peer_expect(&p, VIRTIO_VSOCK_OP_RW);
    g_assert_cmpmem(peer_data, hdr.len, "SSH-2.0\r\n", 9);
    /* A second one to the same port is another connection. */
    Peer q = host_connects(f, 22, "");
    g_assert_cmpuint(p.host_port, !=, q.host_port);
    peer_send(&q, VIRTIO_VSOCK_OP_RW, 0, "to q", 4);
    peer_send(&p, VIRTIO_VSOCK_OP_RW, 0, "to p", 4);
    expect_text(p.fd, "to p");
    expect_text(q.fd, "to q");
    hx_close(&p.fd);
    hx_close(&q.fd);
    peer_expect(&p, VIRTIO_VSOCK_OP_SHUTDOWN);
    peer_send(&p, VIRTIO_VSOCK_OP_RST, 0, NULL, 0);
    peer_expect(&q, VIRTIO_VSOCK_OP_SHUTDOWN);
    peer_send(&q, VIRTIO_VSOCK_OP_RST, 0, NULL, 0);
    /* Refused by the guest: closed without a word. */
    p = (Peer){.f = f, .guest_port = 23, .fd = host_client(f, "CONNECT 23\n")};
    g_assert_true(frontend_receive(f, FRONTEND_TIMEOUT, &hdr, NULL));
    p.host_port = hdr.src_port;
    peer_send(&p, VIRTIO_VSOCK_OP_RST, 0, NULL, 0);
    expect_end(p.fd);
    hx_close(&p.fd);
    /* Gone before the guest answers. */
    p = (Peer){.f = f, .guest_port = 24, .fd = host_client(f, "CONNECT 24\n")};
    g_assert_true(frontend_receive(f, FRONTEND_TIMEOUT, &hdr, NULL));
    p.host_port = hdr.src_port;
    hx_close(&p.fd);
    peer_expect(&p, VIRTIO_VSOCK_OP_RST);
    /* In pieces. */
    p = (Peer){.f = f, .guest_port = 25, .fd = host_client(f, "CONN")};
    frontend_expect_silence(f);
    g_assert_cmpint(hx_write_all(p.fd, "ECT 2", 5), ==, 0);
    frontend_expect_silence(f);
    g_assert_cmpint(hx_write_all(p.fd, "5\n", 2), ==, 0);
    g_assert_true(frontend_receive(f, FRONTEND_TIMEOUT, &hdr, NULL));
    g_assert_cmpuint(hdr.dst_port, ==, 25);
    hx_close(&p.fd);
    frontend_free(f);
}

static void test_bad_clients(void)
{
    Frontend *f = frontend_new((FrontendOptions){.event_idx = true});
    static const char *const bad[] = {
        "CONNECT 0\n",
        "HELLO\n",
        "\n",
        "CONNECT 1 2\n",
        "CONNECT 00000000000000000000000000001\n",
        "a line that is longer than any that could be right, and has no end",
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        int fd = host_client(f, bad[i]);
        char byte;
        struct pollfd p = {.fd = fd, .events = POLLIN};
        g_assert_cmpint(poll(&p, 1, FRONTEND_TIMEOUT), ==, 1);
        g_assert_cmpint(recv(fd, &byte, 1, MSG_DONTWAIT), <=, 0);
        close(fd);
    }
    /* Many who say nothing: the oldest make room, and one who knows is served. */
    int silent[600];
    for (unsigned i = 0; i < G_N_ELEMENTS(silent); i++)
        silent[i] = host_client(f, i % 2 ? "CONNECT 1" : "");
    expect_end(silent[0]);
    Peer p = host_connects(f, 22, "");
    g_assert_cmpuint(frontend_count_descriptors(f), <, 300);
    for (unsigned i = 0; i < G_N_ELEMENTS(silent); i++)
        close(silent[i]);
    hx_close(&p.fd);
    frontend_free(f);
}

/* A host's program that does not read: its guest's credit is the bound, others go on. */
static void test_slow_reader(void)
{
    Frontend *f = frontend_new((FrontendOptions){.event_idx = true});
    Peer slow = guest_connects(f, 1000, 5000), quick = guest_connects(f, 1001, 5001);
    g_autofree uint8_t *block = g_malloc(FRONTEND_PACKET_MAX);
    uint32_t total = 0;
    /* As an honest guest: no more than the credit, until no more credit comes. */
    for (bool stuck = false; !stuck;) {
        uint32_t room = HX_CONNECTION_BUFFER - (slow.sent - slow.host_forwarded);
        if (room == 0) {
            struct virtio_vsock_hdr hdr;
            stuck = !frontend_receive(f, 200, &hdr, NULL);
            if (!stuck)
                slow.host_forwarded = hdr.fwd_cnt;
            continue;
        }
        uint32_t size = MIN(room, FRONTEND_PACKET_MAX);
        for (uint32_t i = 0; i < size; i++)
            block[i] = (total + i) * 2654435761u >> 24;
        peer_send(&slow, VIRTIO_VSOCK_OP_RW, 0, block, size);
        total += size;
        g_assert_cmpuint(total, <, 4u << 20);
    }
    frontend_wait_sent(f);
    peer_send(&quick, VIRTIO_VSOCK_OP_RW, 0, "quick", 5);
    expect_text(quick.fd, "quick");
    g_assert_cmpint(hx_write_all(quick.fd, "back", 4), ==, 0);
    peer_expect(&quick, VIRTIO_VSOCK_OP_RW);
    /* The guest's program ends meanwhile: nothing that it sent is lost. */
    peer_send(&slow, VIRTIO_VSOCK_OP_SHUTDOWN, RCV | SEND, NULL, 0);
    peer_expect(&slow, VIRTIO_VSOCK_OP_RST);
    g_assert_cmpint(hx_write_all(slow.fd, "x", 1), ==, -EPIPE); /* nobody is there to take it */
    for (uint32_t at = 0; at < total;) {
        ssize_t n = recv(slow.fd, block, MIN(7777, total - at), 0);
        g_assert_cmpint(n, >, 0);
        for (ssize_t i = 0; i < n; i++, at++)
            g_assert_cmpuint(block[i], ==, (uint8_t)(at * 2654435761u >> 24));
    }
    expect_end(slow.fd);
    hx_close(&slow.fd);
    /* More than the credit is no slow reader's fault. */
    Peer greedy = guest_connects(f, 1002, 5002);
    memset(block, 0, FRONTEND_PACKET_MAX);
    for (int i = 0; i < 40; i++)
        peer_send(&greedy, VIRTIO_VSOCK_OP_RW, 0, block, FRONTEND_PACKET_MAX);
    for (struct virtio_vsock_hdr hdr; (hdr = peer_next(&greedy, NULL)).op != VIRTIO_VSOCK_OP_RST;)
        g_assert_cmpuint(hdr.op, ==, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
    hx_close(&greedy.fd);
    hx_close(&quick.fd);
    frontend_free(f);
}

/* A guest that reads slowly, and one that offers no buffers. */
static void test_slow_guest(void)
{
    Frontend *f = frontend_new((FrontendOptions){.event_idx = true});
    Peer p = guest_connects(f, 1000, 5000);
    struct virtio_vsock_hdr hdr;
    hx_set_nonblocking(p.fd, true);
    g_autofree uint8_t *block = g_malloc0(PEER_BUFFER * 4);
    g_assert_cmpint(send(p.fd, block, PEER_BUFFER + 1000, 0), ==, PEER_BUFFER + 1000);
    uint32_t got = 0;
    while (frontend_receive(f, 200, &hdr, NULL)) {
        g_assert_cmpuint(hdr.op, ==, VIRTIO_VSOCK_OP_RW);
        got += hdr.len;
    }
    g_assert_cmpuint(got, ==, PEER_BUFFER);
    p.forwarded = got;
    peer_send(&p, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0, NULL, 0);
    g_assert_cmpuint(peer_expect(&p, VIRTIO_VSOCK_OP_RW).len, ==, 1000);
    p.forwarded += 1000;
    peer_send(&p, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0, NULL, 0);
    /* All buffers used: what is left waits in the socket, and comes with new buffers. */
    f->hold_buffers = true;
    Peer q = guest_connects(f, 1001, 5001);
    unsigned packets = 1;
    for (; frontend_receive(f, 100, &hdr, NULL); packets++)
        ;
    while (packets < FRONTEND_SLOTS) {
        peer_send(&q, VIRTIO_VSOCK_OP_CREDIT_REQUEST, 0, NULL, 0);
        peer_expect(&q, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
        packets++;
    }
    g_assert_cmpint(send(p.fd, "late", 4, 0), ==, 4);
    close(host_client(f, "CONNECT 77\n")); /* of which the guest need never hear */
    peer_send(&q, VIRTIO_VSOCK_OP_RW, 0, "works", 5);
    expect_text(q.fd, "works");
    g_assert_false(frontend_receive(f, 100, &hdr, NULL));
    f->hold_buffers = false;
    frontend_release_buffers(f);
    hdr = peer_expect(&p, VIRTIO_VSOCK_OP_RW);
    g_assert_cmpmem(peer_data, hdr.len, "late", 4);
    frontend_expect_silence(f);
    hx_close(&p.fd);
    hx_close(&q.fd);
    frontend_free(f);
}

/* --- the guest goes and comes back ---------------------------------------------------------------
 */

static void test_pause_and_reset(void)
{
    Frontend *f = frontend_new((FrontendOptions){.event_idx = true});
    unsigned base[2];
    Peer p = guest_connects(f, 1000, 5000);
    frontend_stop(f, base);
    g_assert_cmpuint(base[0], ==, 1);
    g_assert_cmpuint(base[1], ==, 1);
    g_assert_cmpint(hx_write_all(p.fd, "while paused", 12), ==, 0);
    int fd = host_client(f, "CONNECT 22\n"); /* nobody can answer: refused at once */
    expect_end(fd);
    close(fd);
    frontend_resume(f, base);
    g_assert_cmpuint(peer_expect(&p, VIRTIO_VSOCK_OP_RW).len, ==, 12);
    /* The driver starts anew: the host's programs see the end. */
    frontend_stop(f, base);
    frontend_start(f);
    expect_end(p.fd);
    hx_close(&p.fd);
    p = guest_connects(f, 1000, 5000);
    frontend_message(f, HX_VHOST_RESET_DEVICE, 1, NULL, 0, NULL, 0);
    expect_end(p.fd);
    hx_close(&p.fd);
    frontend_start(f);
    p = guest_connects(f, 1000, 5000);
    /* QEMU goes away and another comes. */
    frontend_reconnect(f);
    expect_end(p.fd);
    hx_close(&p.fd);
    frontend_start(f);
    p = host_connects(f, 22, "");
    hx_close(&p.fd);
    frontend_free(f);
}

/* Memory that is mapped anew while the queues run, as QEMU does when some is plugged in. */
static void test_memory_changes(void)
{
    Frontend *f = frontend_new((FrontendOptions){.event_idx = true, .indirect = true});
    Peer p = guest_connects(f, 1000, 5000);
    for (int i = 0; i < 20; i++) {
        peer_send(&p, VIRTIO_VSOCK_OP_RW, 0, "to host", 7);
        frontend_share_memory(f);
        expect_text(p.fd, "to host");
        g_assert_cmpint(hx_write_all(p.fd, "to guest", 8), ==, 0);
        g_assert_cmpuint(peer_expect(&p, VIRTIO_VSOCK_OP_RW).len, ==, 8);
        p.forwarded += 8;
    }
    hx_close(&p.fd);
    frontend_free(f);
}

/* Packets up to the guest's largest and the largest buffers, not only what Linux uses. */
static void test_packet_sizes(gconstpointer pieces)
{
    static const uint32_t sizes[] = {1, 4096, 65536, 65537, 100000, FRONTEND_PACKET_MAX};
    static uint8_t data[FRONTEND_PACKET_MAX], got[FRONTEND_PACKET_MAX];
    Frontend *f = frontend_new((FrontendOptions){
        .event_idx = true, .rx_buffer = 100000, .rx_pieces = GPOINTER_TO_INT(pieces)});
    Peer p = guest_connects(f, 1000, 5000);
    for (unsigned i = 0; i < sizeof data; i++)
        data[i] = i * 2654435761u >> 24;
    for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++) {
        peer_send(&p, VIRTIO_VSOCK_OP_RW, 0, data, sizes[i]);
        g_assert_cmpint(hx_read_all(p.fd, got, sizes[i]), ==, 0);
        g_assert_true(memcmp(got, data, sizes[i]) == 0);
        while (p.host_forwarded != p.sent && p.sent - p.host_forwarded > HX_CONNECTION_BUFFER / 2)
            peer_expect(&p, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
    }
    g_assert_cmpint(hx_write_all(p.fd, data, PEER_BUFFER), ==, 0);
    uint32_t largest = 0;
    for (uint32_t at = 0; at < PEER_BUFFER;) {
        struct virtio_vsock_hdr hdr = peer_next(&p, peer_data);
        g_assert_true(memcmp(peer_data, data + at, hdr.len) == 0);
        largest = MAX(largest, hdr.len);
        at += hdr.len;
    }
    g_assert_cmpuint(largest, >, 20000);
    hx_close(&p.fd);
    frontend_free(f);
}

/* All the credit in one packet, more than the host's socket takes at once. */
static void test_largest_packet(void)
{
    Frontend *f = frontend_new((FrontendOptions){.event_idx = true});
    Peer p = guest_connects(f, 1000, 5000);
    const struct virtio_vsock_hdr hdr = {.src_cid = FRONTEND_CID,
                                         .dst_cid = 2,
                                         .src_port = p.guest_port,
                                         .dst_port = p.host_port,
                                         .len = HX_CONNECTION_BUFFER,
                                         .type = VIRTIO_VSOCK_TYPE_STREAM,
                                         .op = VIRTIO_VSOCK_OP_RW,
                                         .buf_alloc = PEER_BUFFER};
    static uint8_t got[HX_CONNECTION_BUFFER];
    uint8_t *packet = frontend_slot(f, 1), *data = packet + sizeof hdr;
    frontend_wait_sent(f);
    memcpy(packet, &hdr, sizeof hdr);
    for (unsigned i = 0; i < HX_CONNECTION_BUFFER; i++)
        data[i] = i * 2654435761u >> 24;
    f->queues[1].vring.desc[0] = (struct vring_desc){frontend_guest_address(f, packet),
                                                     sizeof hdr + HX_CONNECTION_BUFFER, 0, 0};
    f->tx_busy[0] = true;
    frontend_offer(f, 1, 0);
    frontend_wait_sent(f);
    g_assert_cmpint(hx_read_all(p.fd, got, sizeof got), ==, 0);
    g_assert_true(memcmp(got, data, sizeof got) == 0);
    struct virtio_vsock_hdr answer = {0};
    while (answer.fwd_cnt != HX_CONNECTION_BUFFER)
        answer = peer_expect(&p, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
    hx_close(&p.fd);
    frontend_free(f);
}

/* What no driver may say in a state: the connection is reset for both, and nothing else. */
static void test_violations(void)
{
    static const struct {
        const char *what;
        bool asked; /* the host asked for the connection, and the guest has not answered */
        uint16_t before, operation;
        uint32_t flags, size;
    } rows[] = {
        {"data before the answer", true, 0, VIRTIO_VSOCK_OP_RW, 0, 4},
        {"a request before the answer", true, 0, VIRTIO_VSOCK_OP_REQUEST, 0, 0},
        {"a shutdown before the answer", true, 0, VIRTIO_VSOCK_OP_SHUTDOWN, RCV | SEND, 0},
        {"credit before the answer", true, 0, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0, 0},
        {"a second answer", true, VIRTIO_VSOCK_OP_RESPONSE, VIRTIO_VSOCK_OP_RESPONSE, 0, 0},
        {"an answer to nothing", false, 0, VIRTIO_VSOCK_OP_RESPONSE, 0, 0},
        {"a second request", false, 0, VIRTIO_VSOCK_OP_REQUEST, 0, 0},
        {"data after the end", false, VIRTIO_VSOCK_OP_SHUTDOWN, VIRTIO_VSOCK_OP_RW, 0, 4},
        {"operation 0", false, 0, VIRTIO_VSOCK_OP_INVALID, 0, 0},
        {"an operation that nobody knows", false, 0, 8, 0, 0},
        {"operation 65535", false, 0, 65535, 0, 0},
    };
    Frontend *f = frontend_new((FrontendOptions){.event_idx = true});
    Peer other = guest_connects(f, 999, 4999);
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_test_message("%s", rows[i].what);
        Peer p = {.f = f, .guest_port = 22};
        if (rows[i].asked) {
            p.fd = host_client(f, "CONNECT 22\n");
            struct virtio_vsock_hdr hdr;
            g_assert_true(frontend_receive(f, FRONTEND_TIMEOUT, &hdr, NULL));
            p.host_port = hdr.src_port;
        } else {
            p = guest_connects(f, 1000, 5000);
        }
        if (rows[i].before)
            peer_send(&p, rows[i].before, SEND, NULL, 0);
        peer_send(&p, rows[i].operation, rows[i].flags, "data", rows[i].size);
        peer_expect(&p, VIRTIO_VSOCK_OP_RST);
        if (rows[i].before == VIRTIO_VSOCK_OP_RESPONSE)
            expect_text(p.fd, "OK 22\n");
        expect_end(p.fd);
        hx_close(&p.fd);
        peer_send(&other, VIRTIO_VSOCK_OP_RW, 0, "other", 5);
        expect_text(other.fd, "other");
    }
    /* What may be said at any time, and changes nothing. */
    peer_send(&other, VIRTIO_VSOCK_OP_SHUTDOWN, 0, NULL, 0);
    peer_send(&other, VIRTIO_VSOCK_OP_SHUTDOWN, ~(RCV | SEND), NULL, 0);
    peer_send(&other, VIRTIO_VSOCK_OP_RW, 0, NULL, 0);
    peer_send(&other, VIRTIO_VSOCK_OP_RW, VIRTIO_VSOCK_SEQ_EOM, "other", 5);
    expect_text(other.fd, "other");
    hx_close(&other.fd);
    frontend_free(f);
}

/* A driver takes what it likes of what is offered; the rings work with each combination, also where
 * their indices begin again at 0. */
static void test_subsets(void)
{
    for (unsigned i = 0; i < 8; i++) {
        Frontend *f = frontend_new((FrontendOptions){
            .event_idx = i & 1, .indirect = i & 2, .seqpacket = i & 4, .ring_base = 65400});
        Peer p = guest_connects(f, 1000, 5000);
        for (int round = 0; round < 300; round++) { /* more than once around the rings */
            peer_send(&p, VIRTIO_VSOCK_OP_RW, 0, "to host", 7);
            expect_text(p.fd, "to host");
            g_assert_cmpint(hx_write_all(p.fd, "to guest", 8), ==, 0);
            g_assert_cmpuint(peer_expect(&p, VIRTIO_VSOCK_OP_RW).len, ==, 8);
            p.forwarded += 8;
        }
        hx_close(&p.fd);
        frontend_free(f);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vsock/device/negotiation", test_negotiation);
    g_test_add_func("/vsock/device/refusals", test_refusals);
    g_test_add_func("/vsock/device/shutdown", test_shutdown);
    g_test_add_func("/vsock/device/host-connects", test_host_connects);
    g_test_add_func("/vsock/device/bad-clients", test_bad_clients);
    g_test_add_func("/vsock/device/slow-reader", test_slow_reader);
    g_test_add_func("/vsock/device/slow-guest", test_slow_guest);
    g_test_add_func("/vsock/device/pause-and-reset", test_pause_and_reset);
    g_test_add_func("/vsock/device/memory-changes", test_memory_changes);
    g_test_add_data_func("/vsock/device/packet-sizes", GINT_TO_POINTER(false), test_packet_sizes);
    g_test_add_data_func("/vsock/device/packet-sizes-in-pieces", GINT_TO_POINTER(true),
                         test_packet_sizes);
    g_test_add_func("/vsock/device/largest-packet", test_largest_packet);
    g_test_add_func("/vsock/device/violations", test_violations);
    g_test_add_func("/vsock/device/subsets", test_subsets);
    return g_test_run();
}
