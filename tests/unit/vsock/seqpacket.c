/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Connections with messages, VIRTIO_VSOCK_TYPE_SEQPACKET: boundaries, limits, who may have them. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#include "launcher/base/fd.h"
#include "launcher/vsock/connection.h"
#include "tests/fakes/vsock-peer.h"

#define RCV VIRTIO_VSOCK_SHUTDOWN_RCV
#define SEND VIRTIO_VSOCK_SHUTDOWN_SEND
#define RW VIRTIO_VSOCK_OP_RW
#define EOM VIRTIO_VSOCK_SEQ_EOM
#define EOR VIRTIO_VSOCK_SEQ_EOR

static const FrontendOptions with_messages = {.event_idx = true, .seqpacket = true};
static uint8_t block[HX_CONNECTION_BUFFER + 1];

static void fill_block(void)
{
    for (unsigned i = 0; i < sizeof block; i++)
        block[i] = i * 2654435761u >> 24;
}

/* The next message for the host's program is @size bytes at @data. */
static void expect_message(int fd, const void *data, size_t size)
{
    static uint8_t got[sizeof block + 1];
    struct pollfd p = {.fd = fd, .events = POLLIN};
    g_assert_cmpint(poll(&p, 1, FRONTEND_TIMEOUT), ==, 1);
    g_assert_cmpint(recv(fd, got, sizeof got, MSG_DONTWAIT), ==, size);
    g_assert_true(memcmp(got, data, size) == 0);
}

static void test_to_host(void)
{
    Frontend *f = frontend_new(with_messages);
    Peer p = guest_connects_seqpacket(f, 1000, 5000);
    /* Packets of one message, of several, and a record's end, which Unix sockets do not know. */
    peer_send(&p, RW, EOM, "one", 3);
    peer_send(&p, RW, 0, "tw", 2);
    peer_send(&p, RW, 0, "", 0);
    peer_send(&p, RW, EOM | EOR, "o", 1);
    peer_send(&p, RW, 0, "thr", 3);
    peer_send(&p, RW, 0, "e", 1);
    frontend_wait_sent(f);
    expect_message(p.fd, "one", 3);
    expect_message(p.fd, "two", 3);
    struct pollfd nothing = {.fd = p.fd, .events = POLLIN};
    g_assert_cmpint(poll(&nothing, 1, 50), ==, 0);
    peer_send(&p, RW, 0, "e", 1);
    peer_send(&p, RW, EOM, NULL, 0);
    expect_message(p.fd, "three", 5);
    /* No bytes at all: not passed on, where it would look like the end. */
    peer_send(&p, RW, EOM, NULL, 0);
    peer_send(&p, RW, EOM, "four", 4);
    expect_message(p.fd, "four", 4);
    /* What has no end when the guest ends is dropped. */
    peer_send(&p, RW, EOM, "five", 4);
    peer_send(&p, RW, 0, "lost", 4);
    peer_send(&p, VIRTIO_VSOCK_OP_SHUTDOWN, SEND, NULL, 0);
    expect_message(p.fd, "five", 4);
    expect_end(p.fd);
    g_assert_cmpint(send(p.fd, "answer", 6, 0), ==, 6);
    struct virtio_vsock_hdr hdr;
    while ((hdr = peer_next(&p, peer_data)).op == VIRTIO_VSOCK_OP_CREDIT_UPDATE)
        ;
    g_assert_cmpuint(hdr.op, ==, RW);
    g_assert_cmpuint(hdr.flags, ==, EOM);
    g_assert_cmpmem(peer_data, hdr.len, "answer", 6);
    hx_close(&p.fd);
    frontend_free(f);
}

/* Receive a whole message of the host's; credit is told as it comes. */
static uint32_t guest_receives_message(Peer *p)
{
    static uint8_t got[sizeof block];
    struct virtio_vsock_hdr hdr;
    uint32_t size = 0;
    do {
        hdr = peer_next(p, peer_data);
        if (hdr.op == VIRTIO_VSOCK_OP_CREDIT_UPDATE)
            continue;
        g_assert_cmpuint(hdr.op, ==, RW);
        memcpy(got + size, peer_data, hdr.len);
        size += hdr.len;
    } while (!(hdr.flags & EOM));
    g_assert_true(memcmp(got, block, size) == 0);
    p->forwarded += size;
    peer_send(p, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0, NULL, 0);
    return size;
}

static void test_to_guest(void)
{
    static const uint32_t sizes[] = {1, 4052, 4053, 8104, 1, 50000, PEER_BUFFER, 2, PEER_BUFFER};
    Frontend *f = frontend_new(with_messages);
    Peer p = host_connects_seqpacket(f, 22);
    for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++)
        g_assert_cmpint(send(p.fd, block, sizes[i], 0), ==, sizes[i]);
    for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++)
        g_assert_cmpuint(guest_receives_message(&p), ==, sizes[i]);
    /* No bytes: not passed on, and not taken for the end, which comes after them. */
    for (int i = 0; i < 3; i++)
        g_assert_cmpint(send(p.fd, block, 0, 0), ==, 0);
    g_assert_cmpint(send(p.fd, block, 7, 0), ==, 7);
    g_assert_cmpint(send(p.fd, block, 0, 0), ==, 0);
    g_assert_cmpint(send(p.fd, block, 8, 0), ==, 8);
    hx_close(&p.fd);
    g_assert_cmpuint(guest_receives_message(&p), ==, 7);
    g_assert_cmpuint(guest_receives_message(&p), ==, 8);
    g_assert_cmpuint(peer_expect(&p, VIRTIO_VSOCK_OP_SHUTDOWN).flags, ==, RCV | SEND);
    peer_send(&p, VIRTIO_VSOCK_OP_RST, 0, NULL, 0);
    frontend_free(f);
}

/* A buffer of as many pieces as one read takes, which leaves none for the rest of a message. */
static void test_many_pieces(void)
{
    enum { PIECES = 1024, FIRST = sizeof(struct virtio_vsock_hdr) + 1 };
    Frontend *f =
        frontend_new((FrontendOptions){.event_idx = true, .indirect = true, .seqpacket = true});
    Peer p = host_connects_seqpacket(f, 22), q = host_connects(f, 23, "");
    FrontendQueue *rx = &f->queues[0];
    struct vring_desc *table = frontend_slot(f, 10);
    static const uint32_t sizes[] = {1, 1000, 1024, 1025, 50000};
    for (unsigned i = 0; i < 2 * G_N_ELEMENTS(sizes); i++) {
        /* the one that comes next */
        unsigned head = rx->vring.avail->ring[rx->last_used % FRONTEND_QUEUE];
        struct vring_desc *buffer = &rx->vring.desc[head], whole = *buffer;
        for (unsigned j = 0; j < PIECES; j++)
            table[j] = (struct vring_desc){
                .addr = j ? whole.addr + FIRST + j - 1 : whole.addr,
                .len = j ? 1 : FIRST,
                .flags = VRING_DESC_F_WRITE | (j + 1 < PIECES ? VRING_DESC_F_NEXT : 0),
                .next = j + 1,
            };
        *buffer = (struct vring_desc){frontend_guest_address(f, table), sizeof *table * PIECES,
                                      VRING_DESC_F_INDIRECT, 0};
        Peer *peer = i % 2 ? &q : &p;
        uint32_t size = sizes[i / 2];
        g_assert_cmpint(send(peer->fd, block, size, 0), ==, size);
        for (uint32_t got = 0; got < size;) {
            struct virtio_vsock_hdr hdr = peer_expect(peer, RW);
            *buffer = whole;
            g_assert_true(memcmp(peer_data, block + got, hdr.len) == 0);
            got += hdr.len;
            g_assert_cmpuint(hdr.flags, ==, peer == &p && got == size ? EOM : 0);
        }
        peer->forwarded += size;
        peer_send(peer, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0, NULL, 0);
    }
    hx_close(&p.fd);
    hx_close(&q.fd);
    frontend_free(f);
}

/* A host's program that takes nothing: messages wait, up to the credit, and stay apart. */
static void test_slow_host(void)
{
    Frontend *f = frontend_new(with_messages);
    Peer p = guest_connects_seqpacket(f, 1000, 5000);
    unsigned sent = 0;
    for (bool stuck = false; !stuck;) {
        uint32_t size = 1 + sent * 7919 % 20000;
        if (p.sent + size - p.host_forwarded > HX_CONNECTION_BUFFER) {
            struct virtio_vsock_hdr hdr;
            stuck = !frontend_receive(f, 200, &hdr, NULL);
            if (!stuck)
                p.host_forwarded = hdr.fwd_cnt;
            continue;
        }
        peer_send(&p, RW, 0, block, size / 2);
        peer_send(&p, RW, EOM, block + size / 2, size - size / 2);
        g_assert_cmpuint(++sent, <, 2000);
    }
    /* The guest's program ends meanwhile: nothing that it sent is lost. */
    peer_send(&p, VIRTIO_VSOCK_OP_SHUTDOWN, RCV | SEND, NULL, 0);
    peer_expect(&p, VIRTIO_VSOCK_OP_RST);
    for (unsigned i = 0; i < sent; i++)
        expect_message(p.fd, block, 1 + i * 7919 % 20000);
    expect_end(p.fd);
    hx_close(&p.fd);
    frontend_free(f);
}

/* All the credit for one message, also with bytes before it of which the guest was not told. */
static void test_longest(void)
{
    Frontend *f = frontend_new(with_messages);
    Peer p = guest_connects_seqpacket(f, 1000, 5000);
    static const uint32_t sizes[] = {100000, HX_CONNECTION_BUFFER - 50000, HX_CONNECTION_BUFFER};
    for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++) {
        for (uint32_t at = 0; at < sizes[i];) {
            uint32_t room = HX_CONNECTION_BUFFER - (p.sent - p.host_forwarded);
            uint32_t size = MIN(MIN(room, FRONTEND_PACKET_MAX), sizes[i] - at);
            if (size == 0) {
                peer_expect(&p, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
                continue;
            }
            peer_send(&p, RW, at + size == sizes[i] ? EOM : 0, block + at, size);
            at += size;
        }
        expect_message(p.fd, block, sizes[i]);
    }
    hx_close(&p.fd);
    frontend_free(f);
}

static void expect_reset(Peer *p)
{
    struct virtio_vsock_hdr hdr;
    while ((hdr = peer_next(p, peer_data)).op == VIRTIO_VSOCK_OP_CREDIT_UPDATE)
        ;
    g_assert_cmpuint(hdr.op, ==, VIRTIO_VSOCK_OP_RST);
}

static void test_too_long(void)
{
    Frontend *f = frontend_new(with_messages);
    /* The guest fills its credit, and no end. */
    Peer p = guest_connects_seqpacket(f, 1000, 5000);
    for (uint32_t at = 0; at < HX_CONNECTION_BUFFER; at += FRONTEND_PACKET_MAX)
        peer_send(&p, RW, 0, block, MIN(FRONTEND_PACKET_MAX, HX_CONNECTION_BUFFER - at));
    expect_reset(&p);
    expect_end(p.fd);
    hx_close(&p.fd);
    /* The host sends more than the guest's buffer takes, or than ours. */
    static const uint32_t sizes[] = {PEER_BUFFER + 1, HX_CONNECTION_BUFFER + 1};
    for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++) {
        int buffer = 2 * sizes[i];
        p = host_connects_seqpacket(f, 22);
        setsockopt(p.fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
        g_assert_cmpint(send(p.fd, block, sizes[i], 0), ==, sizes[i]);
        expect_reset(&p);
        expect_end(p.fd);
        hx_close(&p.fd);
    }
    p = guest_connects_seqpacket(f, 1000, 5000);
    hx_close(&p.fd);
    frontend_free(f);
}

/* A message waits for credit and buffers, and others do not wait for it. */
static void test_slow_guest(void)
{
    Frontend *f = frontend_new(with_messages);
    Peer p = host_connects_seqpacket(f, 22), q = host_connects_seqpacket(f, 23);
    g_assert_cmpint(send(p.fd, block, PEER_BUFFER, 0), ==, PEER_BUFFER);
    uint32_t got = 0;
    for (struct virtio_vsock_hdr hdr = {0}; !(hdr.flags & EOM); got += hdr.len)
        hdr = peer_expect(&p, RW);
    g_assert_cmpuint(got, ==, PEER_BUFFER);
    g_assert_cmpint(send(p.fd, block, 30000, 0), ==, 30000);
    g_assert_cmpint(send(q.fd, block, 10, 0), ==, 10);
    g_assert_cmpuint(guest_receives_message(&q), ==, 10);
    frontend_expect_silence(f);
    p.forwarded += 10000; /* a part of the message goes, and waits for more */
    peer_send(&p, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0, NULL, 0);
    for (got = 0; got < 10000; got += peer_expect(&p, RW).len)
        ;
    g_assert_cmpuint(got, ==, 10000);
    frontend_expect_silence(f);
    p.forwarded = PEER_BUFFER;
    peer_send(&p, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0, NULL, 0);
    for (struct virtio_vsock_hdr hdr = {0}; !(hdr.flags & EOM); got += hdr.len)
        hdr = peer_expect(&p, RW);
    g_assert_cmpuint(got, ==, 30000);
    hx_close(&p.fd);
    hx_close(&q.fd);
    frontend_free(f);
}

static void request(Frontend *f, Peer *p, uint16_t type, uint32_t guest_port)
{
    *p = (Peer){.f = f, .type = type, .guest_port = guest_port, .host_port = 5000, .fd = -1};
    peer_send(p, VIRTIO_VSOCK_OP_REQUEST, 0, NULL, 0);
}

static void test_types(void)
{
    Frontend *f = frontend_new(with_messages);
    Peer p;
    /* The listener decides; the other type is refused, as is one that nobody knows. */
    for (unsigned i = 0; i < 2; i++) {
        int listener = host_listens(f, i ? SOCK_SEQPACKET : SOCK_STREAM, 5000);
        request(f, &p, i ? VIRTIO_VSOCK_TYPE_STREAM : VIRTIO_VSOCK_TYPE_SEQPACKET, 1000);
        peer_expect(&p, VIRTIO_VSOCK_OP_RST);
        request(f, &p, 3, 1000);
        peer_expect(&p, VIRTIO_VSOCK_OP_RST);
        host_unlistens(f, 5000, &listener);
    }
    /* The other type's packets do not reach a connection, nor end it. */
    p = guest_connects_seqpacket(f, 1000, 5000);
    Peer wrong = p;
    wrong.type = VIRTIO_VSOCK_TYPE_STREAM;
    static const uint16_t operations[] = {VIRTIO_VSOCK_OP_REQUEST, RW, VIRTIO_VSOCK_OP_SHUTDOWN};
    for (unsigned i = 0; i < G_N_ELEMENTS(operations); i++) {
        peer_send(&wrong, operations[i], RCV | SEND, NULL, 0);
        peer_expect(&wrong, VIRTIO_VSOCK_OP_RST);
    }
    peer_send(&wrong, VIRTIO_VSOCK_OP_RST, 0, NULL, 0);
    peer_send(&p, RW, EOM, "still", 5);
    expect_message(p.fd, "still", 5);
    hx_close(&p.fd);
    frontend_free(f);
}

static void test_not_negotiated(void)
{
    Frontend *f = frontend_new((FrontendOptions){.event_idx = true});
    int listener = host_listens(f, SOCK_SEQPACKET, 5000);
    Peer p;
    request(f, &p, VIRTIO_VSOCK_TYPE_SEQPACKET, 1000);
    peer_expect(&p, VIRTIO_VSOCK_OP_RST);
    int fd = host_client_seqpacket(f, "CONNECT 22");
    expect_end(fd);
    close(fd);
    host_unlistens(f, 5000, &listener);
    frontend_free(f);
}

static void test_clients(void)
{
    Frontend *f = frontend_new(with_messages);
    static const char *const bad[] = {"CONNECT 22\nSSH", "CONNECT", "CONNECT 22\n\n", "CONNECT 0",
                                      "CONNECT 1 and much that is too long for any line"};
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        int fd = host_client_seqpacket(f, bad[i]);
        expect_end(fd);
        close(fd);
    }
    /* With the newline, and a message right behind. */
    int fd = host_client_seqpacket(f, "CONNECT 22\n");
    g_assert_cmpint(send(fd, block, 100, 0), ==, 100);
    struct virtio_vsock_hdr hdr;
    g_assert_true(frontend_receive(f, FRONTEND_TIMEOUT, &hdr, NULL));
    Peer p = {.f = f,
              .type = VIRTIO_VSOCK_TYPE_SEQPACKET,
              .guest_port = 22,
              .host_port = hdr.src_port,
              .fd = fd};
    peer_send(&p, VIRTIO_VSOCK_OP_RESPONSE, 0, NULL, 0);
    expect_message(fd, "OK 22\n", 6);
    g_assert_cmpuint(guest_receives_message(&p), ==, 100);
    hx_close(&p.fd);
    frontend_free(f);
}

/* Five bytes with a descriptor. */
static void send_descriptor(int fd)
{
    char control[CMSG_SPACE(sizeof(int))] = "";
    struct iovec iov = {block, 5};
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    *c = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
    g_assert_cmpint(sendmsg(fd, &msg, 0), ==, 5);
}

/* Descriptors are not the guest's business, and not kept; what is sent behind them arrives. */
static void test_descriptors(void)
{
    Frontend *f = frontend_new(with_messages);
    Peer p = host_connects_seqpacket(f, 22), q = host_connects(f, 23, "");
    unsigned before = frontend_count_descriptors(f);
    for (int i = 0; i < 10; i++) {
        send_descriptor(p.fd);
        g_assert_cmpuint(guest_receives_message(&p), ==, 5);
    }
    for (int i = 0; i < 10; i++) {
        g_assert_cmpint(kill(f->pid, SIGSTOP), ==, 0);
        send_descriptor(q.fd);
        send_descriptor(q.fd);
        g_assert_cmpint(send(q.fd, block, 5, 0), ==, 5);
        g_assert_cmpint(kill(f->pid, SIGCONT), ==, 0);
        for (uint32_t got = 0; got < 15;)
            got += peer_expect(&q, RW).len;
        q.forwarded += 15;
    }
    g_assert_cmpuint(frontend_count_descriptors(f), ==, before);
    hx_close(&p.fd);
    hx_close(&q.fd);
    frontend_free(f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    fill_block();
    g_test_add_func("/vsock/seqpacket/to-host", test_to_host);
    g_test_add_func("/vsock/seqpacket/to-guest", test_to_guest);
    g_test_add_func("/vsock/seqpacket/many-pieces", test_many_pieces);
    g_test_add_func("/vsock/seqpacket/slow-host", test_slow_host);
    g_test_add_func("/vsock/seqpacket/longest", test_longest);
    g_test_add_func("/vsock/seqpacket/too-long", test_too_long);
    g_test_add_func("/vsock/seqpacket/slow-guest", test_slow_guest);
    g_test_add_func("/vsock/seqpacket/types", test_types);
    g_test_add_func("/vsock/seqpacket/not-negotiated", test_not_negotiated);
    g_test_add_func("/vsock/seqpacket/clients", test_clients);
    g_test_add_func("/vsock/seqpacket/descriptors", test_descriptors);
    return g_test_run();
}
