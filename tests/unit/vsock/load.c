/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Many connections at once, and ends that do not do their part: they harm nobody else, and memory
 * has its bound. */
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "launcher/base/fd.h"
#include "launcher/base/sanitised.h"
#include "launcher/base/unix-socket.h"
#include "launcher/vsock/connection.h"
#include "launcher/vsock/device.h"
#include "tests/fakes/resident.h"
#include "tests/fakes/vsock-peer.h"

#define RCV VIRTIO_VSOCK_SHUTDOWN_RCV
#define SEND VIRTIO_VSOCK_SHUTDOWN_SEND
#define RW VIRTIO_VSOCK_OP_RW
#define AT_ONCE 1000 /* ms, on a host that is busy with other tests */

static uint8_t block[FRONTEND_PACKET_MAX];

static gint64 now_ms(void)
{
    return g_get_monotonic_time() / 1000;
}

/* It has grown by no more than @bytes, and a little of its own. */
static void expect_bound(Frontend *f, long before, uint64_t bytes)
{
    long grown = resident_kib(f->pid) - before, bound = bytes / 1024 + 2048;
    g_test_message("grown by %ld KiB of at most %ld", grown, bound);
    if (!HX_SANITISED) /* whose allocator keeps what was freed */
        g_assert_cmpint(grown, <, bound);
}

static void test_many(void)
{
    enum { MANY = 1000 };
    Frontend *f =
        frontend_new((FrontendOptions){.event_idx = true, .indirect = true, .seqpacket = true});
    long before = resident_kib(f->pid);
    g_autofree Peer *peers = g_new0(Peer, MANY);
    for (unsigned i = 0; i < MANY; i++)
        peers[i] = i % 4 == 0   ? guest_connects(f, 10000 + i, 5000)
                   : i % 4 == 1 ? guest_connects_seqpacket(f, 10000 + i, 5000)
                   : i % 4 == 2 ? host_connects(f, 22, "")
                                : host_connects_seqpacket(f, 22);
    for (unsigned i = 0; i < MANY; i++) {
        peer_send(&peers[i], RW, VIRTIO_VSOCK_SEQ_EOM, &i, sizeof i);
        unsigned got = 0;
        g_assert_cmpint(hx_read_all(peers[i].fd, &got, sizeof got), ==, 0);
        g_assert_cmpuint(got, ==, i);
    }
    expect_bound(f, before, MANY * 1024);
    for (unsigned i = 0; i < MANY; i++) {
        hx_close(&peers[i].fd);
        struct virtio_vsock_hdr hdr;
        do /* of messages the guest hears when they have left */
            g_assert_true(frontend_receive(f, FRONTEND_TIMEOUT, &hdr, NULL));
        while (hdr.op == VIRTIO_VSOCK_OP_CREDIT_UPDATE);
        g_assert_cmpuint(hdr.op, ==, VIRTIO_VSOCK_OP_SHUTDOWN);
        peer_send(&peers[i], VIRTIO_VSOCK_OP_RST, 0, NULL, 0);
    }
    Peer p = guest_connects(f, 10000, 5000);
    hx_close(&p.fd);
    frontend_free(f);
}

/* A device that is started with @limit for its descriptors, which it may raise. */
static Frontend *frontend_with_descriptors(rlim_t limit, FrontendOptions options)
{
    struct rlimit before, low;
    g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &before), ==, 0);
    low = (struct rlimit){limit, before.rlim_max};
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &low), ==, 0);
    Frontend *f = frontend_new(options);
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &before), ==, 0);
    return f;
}

/* One more than there may be is refused, and one that ends makes room, as does one of which the
 * host's end is closed and the guest has not said that it knows. */
static void test_too_many(void)
{
    Frontend *f = frontend_with_descriptors(256, (FrontendOptions){.event_idx = true});
    int listener = host_listens(f, SOCK_STREAM, 5000);
    g_autofree Peer *peers = g_new0(Peer, HX_VSOCK_CONNECTIONS_MAX + 1);
    for (unsigned i = 0; i <= HX_VSOCK_CONNECTIONS_MAX; i++) {
        peers[i] = (Peer){.f = f, .guest_port = 10000 + i, .host_port = 5000, .fd = -1};
        peer_send(&peers[i], VIRTIO_VSOCK_OP_REQUEST, 0, NULL, 0);
        if (i < HX_VSOCK_CONNECTIONS_MAX) {
            peers[i].fd = accept(listener, NULL, NULL);
            peer_expect(&peers[i], VIRTIO_VSOCK_OP_RESPONSE);
        }
    }
    peer_expect(&peers[HX_VSOCK_CONNECTIONS_MAX], VIRTIO_VSOCK_OP_RST);
    int client = host_client(f, "CONNECT 22\n");
    expect_end(client);
    close(client);
    peer_send(&peers[7], VIRTIO_VSOCK_OP_RST, 0, NULL, 0);
    expect_end(peers[7].fd);
    peer_send(&peers[HX_VSOCK_CONNECTIONS_MAX], VIRTIO_VSOCK_OP_REQUEST, 0, NULL, 0);
    peer_expect(&peers[HX_VSOCK_CONNECTIONS_MAX], VIRTIO_VSOCK_OP_RESPONSE);
    hx_close(&peers[8].fd);
    peer_expect(&peers[8], VIRTIO_VSOCK_OP_SHUTDOWN);
    Peer next = {.f = f, .guest_port = 9000, .host_port = 5000};
    peer_send(&next, VIRTIO_VSOCK_OP_REQUEST, 0, NULL, 0);
    peer_expect(&peers[8], VIRTIO_VSOCK_OP_RST);
    peer_expect(&next, VIRTIO_VSOCK_OP_RESPONSE);
    for (unsigned i = 0; i <= HX_VSOCK_CONNECTIONS_MAX; i++)
        if (peers[i].fd >= 0)
            close(peers[i].fd);
    host_unlistens(f, 5000, &listener);
    frontend_free(f);
}

static void expect_refused(Frontend *f, uint32_t guest_port, uint32_t host_port)
{
    Peer p = {.f = f, .guest_port = guest_port, .host_port = host_port};
    gint64 start = now_ms();
    peer_send(&p, VIRTIO_VSOCK_OP_REQUEST, 0, NULL, 0);
    peer_expect(&p, VIRTIO_VSOCK_OP_RST);
    g_assert_cmpint(now_ms() - start, <, AT_ONCE);
}

/* No descriptors are left: who comes is refused, and nothing spins over who waits. */
static void test_out_of_descriptors(void)
{
    Frontend *f = frontend_new((FrontendOptions){.event_idx = true, .log = true});
    Peer p = guest_connects(f, 1000, 5000);
    const struct rlimit few = {frontend_count_descriptors(f) + 6, 4096};
    g_assert_cmpint(prlimit(f->pid, RLIMIT_NOFILE, &few, NULL), ==, 0);
    int silent[40];
    for (unsigned i = 0; i < G_N_ELEMENTS(silent); i++)
        silent[i] = host_client(f, "");
    expect_end(silent[G_N_ELEMENTS(silent) - 1]);
    frontend_expect_idle(f);
    frontend_expect_logged(f, "out of descriptors: a client of the host is refused");
    expect_refused(f, 1001, 5000);
    peer_send(&p, RW, 0, "goes on", 7);
    expect_text(p.fd, "goes on");
    for (unsigned i = 0; i < G_N_ELEMENTS(silent); i++)
        close(silent[i]);
    frontend_expect_idle(f);
    Peer q = host_connects(f, 22, "");
    hx_close(&q.fd);
    hx_close(&p.fd);
    frontend_free(f);
}

/* Nobody listens: said at once, on both sides. */
static void test_nobody_listens(void)
{
    Frontend *f = frontend_new((FrontendOptions){.event_idx = true});
    expect_refused(f, 1000, 5000);
    /* A socket that a program left behind. */
    int listener = host_listens(f, SOCK_STREAM, 5000);
    close(listener);
    expect_refused(f, 1000, 5000);
    int none = -1;
    host_unlistens(f, 5000, &none);
    /* Something else of that name. */
    g_autofree char *path = g_strdup_printf("%s_5000", f->host_path);
    g_assert_true(g_file_set_contents(path, "", 0, NULL));
    expect_refused(f, 1000, 5000);
    unlink(path);
    /* The guest refuses; the client is told as fast as the guest is. */
    gint64 start = now_ms();
    Peer p = {.f = f, .guest_port = 23, .fd = host_client(f, "CONNECT 23\n")};
    struct virtio_vsock_hdr hdr;
    g_assert_true(frontend_receive(f, FRONTEND_TIMEOUT, &hdr, NULL));
    p.host_port = hdr.src_port;
    peer_send(&p, VIRTIO_VSOCK_OP_RST, 0, NULL, 0);
    expect_end(p.fd);
    g_assert_cmpint(now_ms() - start, <, AT_ONCE);
    hx_close(&p.fd);
    frontend_free(f);
}

/* A listener whose backlog is full of connections that it does not accept. */
static void test_never_accepts(void)
{
    Frontend *f = frontend_new((FrontendOptions){.event_idx = true});
    int listener = host_listens(f, SOCK_STREAM, 5000);
    g_assert_cmpint(listen(listener, 3), ==, 0);
    Peer p = {.f = f, .guest_port = 1000, .host_port = 5000};
    struct virtio_vsock_hdr hdr;
    unsigned accepted = 0;
    do {
        peer_send(&p, VIRTIO_VSOCK_OP_REQUEST, 0, NULL, 0);
        hdr = peer_next(&p, NULL);
        p.guest_port++;
        g_assert_cmpuint(++accepted, <, 100);
    } while (hdr.op == VIRTIO_VSOCK_OP_RESPONSE);
    g_assert_cmpuint(hdr.op, ==, VIRTIO_VSOCK_OP_RST);
    expect_refused(f, 2000, 5000);
    Peer other = guest_connects(f, 2001, 5001);
    peer_send(&other, RW, 0, "other", 5);
    expect_text(other.fd, "other");
    /* It wakes up: those that it had are there, and new ones are taken. */
    for (unsigned i = 1; i < accepted; i++)
        close(accept(listener, NULL, NULL));
    host_unlistens(f, 5000, &listener);
    hx_close(&other.fd);
    frontend_free(f);
}

/* A program that never closes its end: the guest's port is free at once all the same. */
static void test_never_closes(void)
{
    Frontend *f = frontend_new((FrontendOptions){.event_idx = true});
    int fds[100];
    for (unsigned i = 0; i < G_N_ELEMENTS(fds); i++) {
        Peer p = guest_connects(f, 1000, 5000);
        peer_send(&p, RW, 0, "READY=1", 7);
        gint64 start = now_ms();
        peer_send(&p, VIRTIO_VSOCK_OP_SHUTDOWN, RCV | SEND, NULL, 0);
        peer_expect(&p, VIRTIO_VSOCK_OP_RST);
        g_assert_cmpint(now_ms() - start, <, AT_ONCE);
        fds[i] = p.fd;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(fds); i++) {
        expect_text(fds[i], "READY=1");
        expect_end(fds[i]);
        close(fds[i]);
    }
    frontend_free(f);
}

/* Send until the host's program, which does not read, stops us: then all the credit is under way.
 */
static void fill_up(Peer *p)
{
    struct virtio_vsock_hdr hdr;
    for (;;) {
        uint32_t room = HX_CONNECTION_BUFFER - (p->sent - p->host_forwarded);
        if (room > 0) {
            peer_send(p, RW, VIRTIO_VSOCK_SEQ_EOM, block, MIN(room, 60000));
        } else {
            frontend_wait_sent(p->f);
            if (!frontend_receive(p->f, 5, &hdr, NULL))
                return;
            p->host_forwarded = hdr.fwd_cnt;
        }
    }
}

/* A connection beside others moves @total bytes each way. */
static void move_beside(Peer *p, uint32_t total)
{
    static uint8_t got[30000];
    for (uint32_t at = 0; at < total; at += sizeof got) {
        peer_send(p, RW, 0, block, sizeof got);
        g_assert_cmpint(hx_read_all(p->fd, got, sizeof got), ==, 0);
        g_assert_cmpint(hx_write_all(p->fd, block, sizeof got), ==, 0);
        for (uint32_t back = 0; back < sizeof got;) {
            struct virtio_vsock_hdr hdr = peer_next(p, NULL);
            back += hdr.op == RW ? hdr.len : 0;
        }
        p->forwarded += sizeof got;
    }
}

/* Programs that do not read: each holds its credit in memory and no more, and nobody waits. */
static void test_never_reads(void)
{
    enum { SLOW = 60 };
    Frontend *f = frontend_new((FrontendOptions){.event_idx = true, .seqpacket = true});
    Peer slow[SLOW], quick = guest_connects(f, 999, 4999);
    long before = resident_kib(f->pid);
    for (unsigned i = 0; i < SLOW; i++) {
        slow[i] =
            i % 2 ? guest_connects(f, 1000 + i, 5000) : guest_connects_seqpacket(f, 1000 + i, 5000);
        fill_up(&slow[i]);
    }
    long full = resident_kib(f->pid);
    g_assert_cmpint(full - before, >, SLOW * 200l); /* or this test tests nothing */
    expect_bound(f, before, SLOW * (uint64_t)(HX_CONNECTION_BUFFER + HX_CONNECTION_BUFFER / 8));
    move_beside(&quick, 3000000);
    /* The guest forgets them; what is held is for the host, until it goes. */
    for (unsigned i = 0; i < SLOW; i++) {
        peer_send(&slow[i], VIRTIO_VSOCK_OP_RST, 0, NULL, 0);
        hx_close(&slow[i].fd);
    }
    move_beside(&quick, 30000);
    expect_bound(f, before, SLOW * (uint64_t)HX_CONNECTION_BUFFER / 8);
    hx_close(&quick.fd);
    frontend_free(f);
}

/* A guest that gives no credit: a stream stays in its socket, of messages one is in memory. */
static void test_guest_never_reads(void)
{
    enum { SLOW = 60 };
    Frontend *f = frontend_new((FrontendOptions){.event_idx = true, .seqpacket = true});
    Peer slow[SLOW], quick = guest_connects(f, 999, 4999);
    long before = resident_kib(f->pid);
    for (unsigned i = 0; i < SLOW; i++) {
        slow[i] = i % 2 ? host_connects(f, 22, "") : host_connects_seqpacket(f, 22);
        uint32_t got = 0;
        while (send(slow[i].fd, block, 40000, MSG_DONTWAIT) > 0)
            ;
        while (got < PEER_BUFFER)
            got += peer_expect(&slow[i], RW).len;
        g_assert_cmpuint(got, ==, PEER_BUFFER);
        while (send(slow[i].fd, block, 40000, MSG_DONTWAIT) > 0)
            ;
    }
    expect_bound(f, before, SLOW / 2 * 40000);
    move_beside(&quick, 3000000);
    for (unsigned i = 0; i < SLOW; i++)
        hx_close(&slow[i].fd);
    hx_close(&quick.fd);
    frontend_free(f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    memset(block, 'x', sizeof block);
    g_test_add_func("/vsock/load/many", test_many);
    g_test_add_func("/vsock/load/too-many", test_too_many);
    g_test_add_func("/vsock/load/out-of-descriptors", test_out_of_descriptors);
    g_test_add_func("/vsock/load/nobody-listens", test_nobody_listens);
    g_test_add_func("/vsock/load/never-accepts", test_never_accepts);
    g_test_add_func("/vsock/load/never-closes", test_never_closes);
    g_test_add_func("/vsock/load/never-reads", test_never_reads);
    g_test_add_func("/vsock/load/guest-never-reads", test_guest_never_reads);
    return g_test_run();
}
