/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The device process as a guest's driver and programs of the host see it. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "launcher/base/fd.h"
#include "launcher/base/unix-socket.h"
#include "launcher/vsock/connection.h"
#include "tests/fakes/vsock-frontend.h"

#define RCV VIRTIO_VSOCK_SHUTDOWN_RCV
#define SEND VIRTIO_VSOCK_SHUTDOWN_SEND
#define GUEST_BUFFER 65536u

/* A connection's end in the guest. */
typedef struct {
    Frontend *f;
    uint32_t guest_port, host_port;
    uint32_t sent, forwarded; /* bytes */
    uint32_t host_buffer, host_forwarded;
    int fd; /* the host's program */
} Peer;

static uint8_t scratch[FRONTEND_PACKET_MAX];

static void send_op(Peer *p, unsigned op, uint32_t flags, const void *data, uint32_t size)
{
    struct virtio_vsock_hdr hdr = {
        .src_cid = FRONTEND_CID,
        .dst_cid = 2,
        .src_port = p->guest_port,
        .dst_port = p->host_port,
        .len = size,
        .type = VIRTIO_VSOCK_TYPE_STREAM,
        .op = op,
        .flags = flags,
        .buf_alloc = GUEST_BUFFER,
        .fwd_cnt = p->forwarded,
    };
    frontend_send(p->f, &hdr, data);
    p->sent += size;
}

/* The next packet, which must be for @p. */
static struct virtio_vsock_hdr next(Peer *p, void *data)
{
    struct virtio_vsock_hdr hdr;
    g_assert_true(frontend_receive(p->f, FRONTEND_TIMEOUT, &hdr, data));
    g_assert_cmpuint(hdr.src_cid, ==, 2);
    g_assert_cmpuint(hdr.dst_cid, ==, FRONTEND_CID);
    g_assert_cmpuint(hdr.src_port, ==, p->host_port);
    g_assert_cmpuint(hdr.dst_port, ==, p->guest_port);
    p->host_buffer = hdr.buf_alloc;
    p->host_forwarded = hdr.fwd_cnt;
    return hdr;
}

static struct virtio_vsock_hdr expect(Peer *p, unsigned op)
{
    struct virtio_vsock_hdr hdr = next(p, scratch);
    g_assert_cmpuint(hdr.op, ==, op);
    return hdr;
}

static void expect_silence(Frontend *f)
{
    struct virtio_vsock_hdr hdr;
    g_assert_false(frontend_receive(f, 50, &hdr, NULL));
}

static int listen_at(Frontend *f, uint32_t port)
{
    g_autofree char *path = g_strdup_printf("%s_%u", f->host_path, port);
    int fd = hx_unix_listen(path, SOCK_STREAM, 0600);
    g_assert_cmpint(fd, >=, 0);
    return fd;
}

static void unlisten(Frontend *f, uint32_t port, int *fd)
{
    g_autofree char *path = g_strdup_printf("%s_%u", f->host_path, port);
    hx_close(fd);
    g_assert_cmpint(unlink(path), ==, 0);
}

/* The guest connects to a listener of the host's. */
static Peer guest_connects(Frontend *f, uint32_t guest_port, uint32_t host_port)
{
    hx_autofd int listener = listen_at(f, host_port);
    Peer p = {.f = f, .guest_port = guest_port, .host_port = host_port};
    send_op(&p, VIRTIO_VSOCK_OP_REQUEST, 0, NULL, 0);
    p.fd = accept(listener, NULL, NULL);
    g_assert_cmpint(p.fd, >=, 0);
    struct virtio_vsock_hdr hdr = expect(&p, VIRTIO_VSOCK_OP_RESPONSE);
    g_assert_cmpuint(hdr.buf_alloc, ==, HX_CONNECTION_BUFFER);
    unlisten(f, host_port, &listener);
    return p;
}

static int host_client(Frontend *f, const char *text)
{
    int fd = hx_unix_connect(f->host_path, SOCK_STREAM);
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(hx_write_all(fd, text, strlen(text)), ==, 0);
    return fd;
}

static void expect_text(int fd, const char *text)
{
    char got[64] = "";
    g_assert_cmpint(hx_read_all(fd, got, strlen(text)), ==, 0);
    g_assert_cmpstr(got, ==, text);
}

static void expect_end(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    char byte;
    g_assert_cmpint(poll(&p, 1, FRONTEND_TIMEOUT), ==, 1);
    g_assert_cmpint(recv(fd, &byte, 1, MSG_DONTWAIT), ==, 0);
}

/* A program of the host connects to the guest's @port; what follows the line is sent with it. */
static Peer host_connects(Frontend *f, uint32_t port, const char *more)
{
    g_autofree char *text = g_strdup_printf("CONNECT %u\n%s", port, more);
    g_autofree char *answer = g_strdup_printf("OK %u\n", port);
    Peer p = {.f = f, .guest_port = port, .fd = host_client(f, text)};
    struct virtio_vsock_hdr hdr;
    g_assert_true(frontend_receive(f, FRONTEND_TIMEOUT, &hdr, NULL));
    g_assert_cmpuint(hdr.op, ==, VIRTIO_VSOCK_OP_REQUEST);
    g_assert_cmpuint(hdr.dst_port, ==, port);
    p.host_port = hdr.src_port;
    send_op(&p, VIRTIO_VSOCK_OP_RESPONSE, 0, NULL, 0);
    expect_text(p.fd, answer);
    return p;
}

/* --- */

static void test_negotiation(void)
{
    Frontend *f = frontend_new((FrontendOptions){.no_driver = true});
    uint64_t u64 = 0;
    frontend_message(f, HX_VHOST_GET_FEATURES, 1, NULL, 0, NULL, 0);
    frontend_reply(f, HX_VHOST_GET_FEATURES, &u64, sizeof u64);
    g_assert_cmphex(u64, ==, 1ull << 32 | 1ull << 30 | 1ull << 29 | 1ull << 28);
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
    send_op(&p, VIRTIO_VSOCK_OP_REQUEST, 0, NULL, 0);
    expect(&p, VIRTIO_VSOCK_OP_RST);
    /* No such connection: whatever is said to it, but never an RST for an RST. */
    for (unsigned op = 0; op < 20; op++) {
        send_op(&p, op, 3, "data", op == VIRTIO_VSOCK_OP_RW ? 4 : 0);
        if (op != VIRTIO_VSOCK_OP_RST)
            expect(&p, VIRTIO_VSOCK_OP_RST);
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
    expect_silence(f);
    /* A second request for an open connection. */
    p = guest_connects(f, 1000, 5000);
    send_op(&p, VIRTIO_VSOCK_OP_REQUEST, 0, NULL, 0);
    expect(&p, VIRTIO_VSOCK_OP_RST);
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
    send_op(&p, VIRTIO_VSOCK_OP_RW, 0, "READY=1", 7);
    send_op(&p, VIRTIO_VSOCK_OP_SHUTDOWN, SEND, NULL, 0);
    expect_text(p.fd, "READY=1");
    expect_end(p.fd);
    g_assert_cmpint(hx_write_all(p.fd, "answer", 6), ==, 0);
    struct virtio_vsock_hdr hdr = expect(&p, VIRTIO_VSOCK_OP_RW);
    g_assert_cmpmem(scratch, hdr.len, "answer", 6);
    hx_close(&p.fd);
    hdr = expect(&p, VIRTIO_VSOCK_OP_SHUTDOWN);
    g_assert_cmpuint(hdr.flags, ==, RCV | SEND);
    send_op(&p, VIRTIO_VSOCK_OP_SHUTDOWN, RCV | SEND, NULL, 0);
    expect(&p, VIRTIO_VSOCK_OP_RST);

    /* The guest takes no more, but sends. */
    p = guest_connects(f, 1000, 5000);
    send_op(&p, VIRTIO_VSOCK_OP_SHUTDOWN, RCV, NULL, 0);
    send_op(&p, VIRTIO_VSOCK_OP_RW, 0, "one way", 7);
    expect_text(p.fd, "one way");
    g_assert_cmpint(hx_write_all(p.fd, "x", 1), ==, -EPIPE);
    expect_silence(f);
    hx_close(&p.fd);
    hdr = expect(&p, VIRTIO_VSOCK_OP_SHUTDOWN);
    g_assert_cmpuint(hdr.flags, ==, RCV | SEND);
    send_op(&p, VIRTIO_VSOCK_OP_RST, 0, NULL, 0);

    /* Both at once: RST confirms, and the same ports serve again. */
    p = guest_connects(f, 1000, 5000);
    send_op(&p, VIRTIO_VSOCK_OP_RW, 0, "bye", 3);
    send_op(&p, VIRTIO_VSOCK_OP_SHUTDOWN, RCV | SEND, NULL, 0);
    expect(&p, VIRTIO_VSOCK_OP_RST);
    expect_text(p.fd, "bye");
    expect_end(p.fd);
    hx_close(&p.fd);

    /* The host half-closes; the guest goes on sending. */
    p = guest_connects(f, 1000, 5000);
    g_assert_cmpint(hx_write_all(p.fd, "last", 4), ==, 0);
    shutdown(p.fd, SHUT_WR);
    hdr = expect(&p, VIRTIO_VSOCK_OP_RW);
    g_assert_cmpuint(hdr.len, ==, 4);
    hdr = expect(&p, VIRTIO_VSOCK_OP_SHUTDOWN);
    g_assert_cmpuint(hdr.flags, ==, SEND);
    send_op(&p, VIRTIO_VSOCK_OP_RW, 0, "still", 5);
    expect_text(p.fd, "still");
    hx_close(&p.fd);
    hdr = expect(&p, VIRTIO_VSOCK_OP_SHUTDOWN);
    g_assert_cmpuint(hdr.flags, ==, RCV | SEND);
    send_op(&p, VIRTIO_VSOCK_OP_RST, 0, NULL, 0);

    /* The host takes no more. */
    p = guest_connects(f, 1000, 5000);
    shutdown(p.fd, SHUT_RD);
    send_op(&p, VIRTIO_VSOCK_OP_RW, 0, "lost", 4);
    hdr = expect(&p, VIRTIO_VSOCK_OP_SHUTDOWN);
    g_assert_cmpuint(hdr.flags, ==, RCV);
    g_assert_cmpuint(hdr.fwd_cnt, ==, 4);
    g_assert_cmpint(hx_write_all(p.fd, "but speaks", 10), ==, 0);
    hdr = expect(&p, VIRTIO_VSOCK_OP_RW);
    g_assert_cmpuint(hdr.len, ==, 10);

    /* RST ends it there and then. */
    send_op(&p, VIRTIO_VSOCK_OP_RST, 0, NULL, 0);
    frontend_wait_sent(f);
    expect_silence(f);
    g_assert_cmpint(hx_write_all(p.fd, "x", 1), ==, -EPIPE);
    hx_close(&p.fd);
    frontend_free(f);
}

static void test_host_connects(void)
{
    Frontend *f = frontend_new((FrontendOptions){.event_idx = true, .indirect = true});
    /* What is sent right behind the line is the guest's. */
    Peer p = host_connects(f, 22, "SSH-2.0\r\n");
    struct virtio_vsock_hdr hdr = expect(&p, VIRTIO_VSOCK_OP_RW);
    g_assert_cmpmem(scratch, hdr.len, "SSH-2.0\r\n", 9);
    /* A second one to the same port is another connection. */
    Peer q = host_connects(f, 22, "");
    g_assert_cmpuint(p.host_port, !=, q.host_port);
    send_op(&q, VIRTIO_VSOCK_OP_RW, 0, "to q", 4);
    send_op(&p, VIRTIO_VSOCK_OP_RW, 0, "to p", 4);
    expect_text(p.fd, "to p");
    expect_text(q.fd, "to q");
    hx_close(&p.fd);
    hx_close(&q.fd);
    expect(&p, VIRTIO_VSOCK_OP_SHUTDOWN);
    send_op(&p, VIRTIO_VSOCK_OP_RST, 0, NULL, 0);
    expect(&q, VIRTIO_VSOCK_OP_SHUTDOWN);
    send_op(&q, VIRTIO_VSOCK_OP_RST, 0, NULL, 0);
    /* Refused by the guest: closed without a word. */
    p = (Peer){.f = f, .guest_port = 23, .fd = host_client(f, "CONNECT 23\n")};
    g_assert_true(frontend_receive(f, FRONTEND_TIMEOUT, &hdr, NULL));
    p.host_port = hdr.src_port;
    send_op(&p, VIRTIO_VSOCK_OP_RST, 0, NULL, 0);
    expect_end(p.fd);
    hx_close(&p.fd);
    /* Gone before the guest answers. */
    p = (Peer){.f = f, .guest_port = 24, .fd = host_client(f, "CONNECT 24\n")};
    g_assert_true(frontend_receive(f, FRONTEND_TIMEOUT, &hdr, NULL));
    p.host_port = hdr.src_port;
    hx_close(&p.fd);
    expect(&p, VIRTIO_VSOCK_OP_RST);
    /* In pieces. */
    p = (Peer){.f = f, .guest_port = 25, .fd = host_client(f, "CONN")};
    expect_silence(f);
    g_assert_cmpint(hx_write_all(p.fd, "ECT 2", 5), ==, 0);
    expect_silence(f);
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
    g_autofree char *fds = g_strdup_printf("/proc/%d/fd", f->pid);
    unsigned open_fds = 0;
    g_autoptr(GDir) dir = g_dir_open(fds, 0, NULL);
    while (g_dir_read_name(dir))
        open_fds++;
    g_assert_cmpuint(open_fds, <, 300);
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
        send_op(&slow, VIRTIO_VSOCK_OP_RW, 0, block, size);
        total += size;
        g_assert_cmpuint(total, <, 4u << 20);
    }
    frontend_wait_sent(f);
    send_op(&quick, VIRTIO_VSOCK_OP_RW, 0, "quick", 5);
    expect_text(quick.fd, "quick");
    g_assert_cmpint(hx_write_all(quick.fd, "back", 4), ==, 0);
    expect(&quick, VIRTIO_VSOCK_OP_RW);
    /* The guest's program ends meanwhile: nothing that it sent is lost. */
    send_op(&slow, VIRTIO_VSOCK_OP_SHUTDOWN, RCV | SEND, NULL, 0);
    expect(&slow, VIRTIO_VSOCK_OP_RST);
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
        send_op(&greedy, VIRTIO_VSOCK_OP_RW, 0, block, FRONTEND_PACKET_MAX);
    for (struct virtio_vsock_hdr hdr; (hdr = next(&greedy, NULL)).op != VIRTIO_VSOCK_OP_RST;)
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
    g_autofree uint8_t *block = g_malloc0(GUEST_BUFFER * 4);
    g_assert_cmpint(send(p.fd, block, GUEST_BUFFER + 1000, 0), ==, GUEST_BUFFER + 1000);
    uint32_t got = 0;
    while (frontend_receive(f, 200, &hdr, NULL)) {
        g_assert_cmpuint(hdr.op, ==, VIRTIO_VSOCK_OP_RW);
        got += hdr.len;
    }
    g_assert_cmpuint(got, ==, GUEST_BUFFER);
    p.forwarded = got;
    send_op(&p, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0, NULL, 0);
    g_assert_cmpuint(expect(&p, VIRTIO_VSOCK_OP_RW).len, ==, 1000);
    p.forwarded += 1000;
    send_op(&p, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0, NULL, 0);
    /* All buffers used: what is left waits in the socket, and comes with new buffers. */
    f->hold_buffers = true;
    Peer q = guest_connects(f, 1001, 5001);
    unsigned packets = 1;
    for (; frontend_receive(f, 100, &hdr, NULL); packets++)
        ;
    while (packets < FRONTEND_SLOTS) {
        send_op(&q, VIRTIO_VSOCK_OP_CREDIT_REQUEST, 0, NULL, 0);
        expect(&q, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
        packets++;
    }
    g_assert_cmpint(send(p.fd, "late", 4, 0), ==, 4);
    send_op(&q, VIRTIO_VSOCK_OP_RW, 0, "works", 5);
    expect_text(q.fd, "works");
    g_assert_false(frontend_receive(f, 100, &hdr, NULL));
    f->hold_buffers = false;
    frontend_release_buffers(f);
    hdr = expect(&p, VIRTIO_VSOCK_OP_RW);
    g_assert_cmpmem(scratch, hdr.len, "late", 4);
    hx_close(&p.fd);
    hx_close(&q.fd);
    frontend_free(f);
}

/* --- random traffic, against what was sent
 * -------------------------------------------------------- */

#define STREAMS 12

typedef struct {
    Peer peer;
    uint32_t to_host, from_host; /* bytes that have gone each way */
    uint32_t host_wrote, host_read;
    uint32_t unread; /* in the guest, not yet told as forwarded */
} Stream;

static uint8_t byte_at(unsigned stream, bool to_host, uint32_t position)
{
    return ((position + stream * 7919 + to_host * 104729) * 2654435761u) >> 23;
}

static void guest_sends(Stream *s, unsigned i, GRand *random)
{
    static uint8_t data[FRONTEND_PACKET_MAX];
    uint32_t room = HX_CONNECTION_BUFFER - (s->peer.sent - s->peer.host_forwarded);
    uint32_t limit = g_rand_boolean(random) ? 200 : FRONTEND_PACKET_MAX;
    uint32_t wish = g_rand_int_range(random, 1, limit + 1), size = MIN(room, wish);
    for (uint32_t n = 0; n < size; n++)
        data[n] = byte_at(i, true, s->to_host + n);
    if (size > 0)
        send_op(&s->peer, VIRTIO_VSOCK_OP_RW, 0, data, size);
    s->to_host += size;
}

static void host_moves(Stream *s, unsigned i, GRand *random)
{
    uint8_t data[20000];
    ssize_t n = recv(s->peer.fd, data, g_rand_int_range(random, 1, sizeof data), MSG_DONTWAIT);
    for (ssize_t j = 0; j < n; j++, s->host_read++)
        g_assert_cmpuint(data[j], ==, byte_at(i, true, s->host_read));
    uint32_t size = g_rand_int_range(random, 0, sizeof data);
    for (uint32_t j = 0; j < size; j++)
        data[j] = byte_at(i, false, s->host_wrote + j);
    n = send(s->peer.fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    s->host_wrote += MAX(n, 0);
}

static bool guest_receives(Frontend *f, Stream *streams, int timeout)
{
    struct virtio_vsock_hdr hdr;
    if (!frontend_receive(f, timeout, &hdr, scratch))
        return false;
    unsigned i = hdr.dst_port - 1000;
    g_assert_cmpuint(i, <, STREAMS);
    Stream *s = &streams[i];
    s->peer.host_forwarded = hdr.fwd_cnt;
    if (hdr.op == VIRTIO_VSOCK_OP_CREDIT_UPDATE)
        return true;
    g_assert_cmpuint(hdr.op, ==, VIRTIO_VSOCK_OP_RW);
    for (uint32_t j = 0; j < hdr.len; j++, s->from_host++)
        g_assert_cmpuint(scratch[j], ==, byte_at(i, false, s->from_host));
    s->unread += hdr.len;
    g_assert_cmpuint(s->unread, <=, GUEST_BUFFER);
    return true;
}

static void guest_tells(Stream *s)
{
    s->peer.forwarded += s->unread;
    s->unread = 0;
    send_op(&s->peer, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0, NULL, 0);
}

static void test_random(gconstpointer data)
{
    const FrontendOptions *options = data;
    Frontend *f = frontend_new(*options);
    guint32 seed = g_test_rand_int();
    g_test_message("seed %u", seed);
    g_autoptr(GRand) random = g_rand_new_with_seed(seed);
    Stream streams[STREAMS] = {0};
    for (unsigned i = 0; i < STREAMS; i++)
        streams[i].peer = guest_connects(f, 1000 + i, 5000 + i);
    for (int round = 0; round < 6000; round++) {
        unsigned i = g_rand_int_range(random, 0, STREAMS);
        switch (g_rand_int_range(random, 0, 5)) {
        case 0:
            guest_sends(&streams[i], i, random);
            break;
        case 1:
            host_moves(&streams[i], i, random);
            break;
        case 2:
            guest_tells(&streams[i]);
            break;
        case 3:
            while (guest_receives(f, streams, 0))
                ;
            break;
        case 4:
            guest_receives(f, streams, 0);
            break;
        }
        if (round % 1000 == 500) {
            unsigned base[2];
            frontend_stop(f, base);
            frontend_resume(f, base);
        }
    }
    /* To the end: every byte arrives. */
    for (unsigned i = 0; i < STREAMS; i++) {
        Stream *s = &streams[i];
        while (s->from_host < s->host_wrote) {
            guest_tells(s);
            g_assert_true(guest_receives(f, streams, FRONTEND_TIMEOUT));
        }
        while (s->host_read < s->to_host) {
            uint8_t byte;
            g_assert_cmpint(recv(s->peer.fd, &byte, 1, 0), ==, 1);
            g_assert_cmpuint(byte, ==, byte_at(i, true, s->host_read++));
        }
        g_assert_cmpuint(s->to_host, >, 100000);
        g_assert_cmpuint(s->from_host, >, 100000);
    }
    if (options->event_idx) /* kicks are suppressed while there is work */
        g_assert_cmpuint(f->queues[1].kicks, <, f->queues[1].vring.avail->idx);
    for (unsigned i = 0; i < STREAMS; i++)
        hx_close(&streams[i].peer.fd);
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
    g_assert_cmpuint(expect(&p, VIRTIO_VSOCK_OP_RW).len, ==, 12);
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

static void test_many(void)
{
    Frontend *f = frontend_new((FrontendOptions){.event_idx = true, .indirect = true});
    enum { MANY = 1000 };
    g_autofree Peer *peers = g_new0(Peer, MANY);
    for (unsigned i = 0; i < MANY; i++)
        peers[i] = i % 2 ? guest_connects(f, 10000 + i, 5000) : host_connects(f, 22, "");
    for (unsigned i = 0; i < MANY; i++) {
        send_op(&peers[i], VIRTIO_VSOCK_OP_RW, 0, &i, sizeof i);
        unsigned got = 0;
        g_assert_cmpint(hx_read_all(peers[i].fd, &got, sizeof got), ==, 0);
        g_assert_cmpuint(got, ==, i);
    }
    for (unsigned i = 0; i < MANY; i++) {
        hx_close(&peers[i].fd);
        expect(&peers[i], VIRTIO_VSOCK_OP_SHUTDOWN);
        send_op(&peers[i], VIRTIO_VSOCK_OP_RST, 0, NULL, 0);
    }
    Peer p = guest_connects(f, 10000, 5000);
    hx_close(&p.fd);
    frontend_free(f);
}

int main(int argc, char **argv)
{
    static const FrontendOptions plain = {0}, event_idx = {.event_idx = true},
                                 indirect = {.indirect = true, .rx_buffer = 1000},
                                 all = {.event_idx = true, .indirect = true, .rx_buffer = 65536};
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vsock/device/negotiation", test_negotiation);
    g_test_add_func("/vsock/device/refusals", test_refusals);
    g_test_add_func("/vsock/device/shutdown", test_shutdown);
    g_test_add_func("/vsock/device/host-connects", test_host_connects);
    g_test_add_func("/vsock/device/bad-clients", test_bad_clients);
    g_test_add_func("/vsock/device/slow-reader", test_slow_reader);
    g_test_add_func("/vsock/device/slow-guest", test_slow_guest);
    g_test_add_data_func("/vsock/device/random/plain", &plain, test_random);
    g_test_add_data_func("/vsock/device/random/event-idx", &event_idx, test_random);
    g_test_add_data_func("/vsock/device/random/indirect", &indirect, test_random);
    g_test_add_data_func("/vsock/device/random/all", &all, test_random);
    g_test_add_func("/vsock/device/pause-and-reset", test_pause_and_reset);
    g_test_add_func("/vsock/device/many", test_many);
    return g_test_run();
}
