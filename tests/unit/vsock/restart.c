/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The device process is killed and another goes on: the front end's connection stays. */
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "launcher/base/fd.h"
#include "launcher/base/unix-socket.h"
#include "tests/fakes/vsock-frontend.h"

#define HOST_PORT 5000

static void send_op(Frontend *f, uint32_t guest_port, unsigned op, const char *text)
{
    struct virtio_vsock_hdr hdr = {
        .src_cid = FRONTEND_CID,
        .dst_cid = 2,
        .src_port = guest_port,
        .dst_port = HOST_PORT,
        .len = text ? strlen(text) : 0,
        .type = VIRTIO_VSOCK_TYPE_STREAM,
        .op = op,
        .buf_alloc = 65536,
    };
    frontend_send(f, &hdr, text);
}

static void expect_op(Frontend *f, uint32_t guest_port, unsigned op)
{
    struct virtio_vsock_hdr hdr;
    g_assert_true(frontend_receive(f, FRONTEND_TIMEOUT, &hdr, NULL));
    g_assert_cmpuint(hdr.op, ==, op);
    g_assert_cmpuint(hdr.type, ==, VIRTIO_VSOCK_TYPE_STREAM);
    g_assert_cmpuint(hdr.src_port, ==, HOST_PORT);
    g_assert_cmpuint(hdr.dst_port, ==, guest_port);
}

/* An RST for each of two, in any order. */
static void expect_resets(Frontend *f, uint32_t guest_port)
{
    unsigned seen = 0;
    struct virtio_vsock_hdr hdr;
    for (unsigned i = 0; i < 2; i++) {
        g_assert_true(frontend_receive(f, FRONTEND_TIMEOUT, &hdr, NULL));
        g_assert_cmpuint(hdr.op, ==, VIRTIO_VSOCK_OP_RST);
        g_assert_cmpuint(hdr.src_port, ==, HOST_PORT);
        seen |= 1u << (hdr.dst_port - guest_port);
    }
    g_assert_cmpuint(seen, ==, 3);
}

static void expect_silence(Frontend *f)
{
    struct virtio_vsock_hdr hdr;
    g_assert_false(frontend_receive(f, 50, &hdr, NULL));
}

static void expect_end(int *fd)
{
    struct pollfd p = {.fd = *fd, .events = POLLIN};
    char byte;
    g_assert_cmpint(poll(&p, 1, FRONTEND_TIMEOUT), ==, 1);
    g_assert_cmpint(recv(*fd, &byte, 1, MSG_DONTWAIT), <=, 0);
    hx_close(fd);
}

static int listen_for(Frontend *f)
{
    g_autofree char *path = g_strdup_printf("%s_%u", f->host_path, HOST_PORT);
    int fd = hx_unix_listen(path, SOCK_STREAM, 0600);
    g_assert_cmpint(fd, >=, 0);
    return fd;
}

static void unlisten(Frontend *f, int *fd)
{
    g_autofree char *path = g_strdup_printf("%s_%u", f->host_path, HOST_PORT);
    hx_close(fd);
    g_assert_cmpint(unlink(path), ==, 0);
}

/* Returns the host's end of a connection of the guest's, over which a line has gone. */
static int connect_from_guest(Frontend *f, int listener, uint32_t guest_port)
{
    char got[6];
    send_op(f, guest_port, VIRTIO_VSOCK_OP_REQUEST, NULL);
    int fd = accept(listener, NULL, NULL);
    g_assert_cmpint(fd, >=, 0);
    expect_op(f, guest_port, VIRTIO_VSOCK_OP_RESPONSE);
    send_op(f, guest_port, VIRTIO_VSOCK_OP_RW, "hello\n");
    g_assert_cmpint(hx_read_all(fd, got, sizeof got), ==, 0);
    g_assert_cmpmem(got, sizeof got, "hello\n", 6);
    frontend_wait_sent(f); /* what was not given back would be taken again */
    return fd;
}

static void test_running(const void *data)
{
    Frontend *f = frontend_new(*(const FrontendOptions *)data);
    int listener = listen_for(f);
    int first = connect_from_guest(f, listener, 1000);
    int second = connect_from_guest(f, listener, 1001);
    for (unsigned round = 0; round < 3; round++) {
        frontend_kill(f);
        expect_end(&first);
        expect_end(&second);
        expect_resets(f, 1000);
        expect_silence(f);
        send_op(f, 1000, VIRTIO_VSOCK_OP_RW, "late");
        expect_op(f, 1000, VIRTIO_VSOCK_OP_RST);
        first = connect_from_guest(f, listener, 1000);
        second = connect_from_guest(f, listener, 1001);
    }
    /* What has ended before is not told again. */
    send_op(f, 1000, VIRTIO_VSOCK_OP_RST, NULL);
    expect_end(&first);
    frontend_wait_sent(f);
    frontend_kill(f);
    expect_op(f, 1001, VIRTIO_VSOCK_OP_RST);
    expect_silence(f);
    hx_close(&second);
    unlisten(f, &listener);
    frontend_free(f);
}

/* Killed with packets in the ring that it has not seen, and some that it has: each is answered, and
 * what is answered twice is harmless to a driver. */
static void test_packets_in_ring(const void *data)
{
    enum { PACKETS = 40 };
    Frontend *f = frontend_new(*(const FrontendOptions *)data);
    /* With an answer all messages before it are kept. */
    uint64_t queues = 0;
    frontend_message(f, HX_VHOST_GET_QUEUE_NUM, HX_VHOST_VERSION, NULL, 0, NULL, 0);
    frontend_reply(f, HX_VHOST_GET_QUEUE_NUM, &queues, sizeof queues);
    for (unsigned round = 0; round < 20; round++) {
        unsigned answers[PACKETS] = {0};
        struct virtio_vsock_hdr hdr;
        for (unsigned i = 0; i < PACKETS; i++) {
            if (i == 2 * round)
                kill(f->pid, SIGSTOP);
            send_op(f, 2000 + i, VIRTIO_VSOCK_OP_REQUEST, NULL);
        }
        frontend_kill(f);
        for (unsigned i = 0; i < PACKETS; i++)
            if (!answers[i])
                while (answers[i] == 0 && frontend_receive(f, 200, &hdr, NULL)) {
                    g_assert_cmpuint(hdr.op, ==, VIRTIO_VSOCK_OP_RST);
                    g_assert_cmpuint(hdr.dst_port - 2000, <, PACKETS);
                    answers[hdr.dst_port - 2000]++;
                }
        frontend_wait_sent(f);
        /* Of those that the killed process had taken, answers that were not out yet are lost. */
        for (unsigned i = 2 * round + 1; i < PACKETS; i++)
            g_assert_cmpuint(answers[i], ==, 1);
    }
    frontend_free(f);
}

/* An interrupt that the killed process may have owed the driver comes from the next one. */
static void test_interrupt(void)
{
    Frontend *f = frontend_new((FrontendOptions){.store = true});
    int listener = listen_for(f), fd = connect_from_guest(f, listener, 1000);
    for (unsigned i = 0; i < 2; i++) {
        eventfd_t ignored;
        eventfd_read(f->queues[i].call, &ignored);
    }
    frontend_kill(f);
    for (unsigned i = 0; i < 2; i++) {
        struct pollfd p = {.fd = f->queues[i].call, .events = POLLIN};
        g_assert_cmpint(poll(&p, 1, FRONTEND_TIMEOUT), ==, 1);
    }
    hx_close(&fd);
    unlisten(f, &listener);
    frontend_free(f);
}

static void test_stopped(void)
{
    Frontend *f = frontend_new((FrontendOptions){.event_idx = true, .store = true});
    int listener = listen_for(f);
    int fd = connect_from_guest(f, listener, 1000);
    unsigned base[2];
    frontend_stop(f, base);
    frontend_kill(f);
    expect_end(&fd);
    frontend_resume(f, base);
    expect_op(f, 1000, VIRTIO_VSOCK_OP_RST);
    fd = connect_from_guest(f, listener, 1000);
    /* The driver starts anew: nothing is told to it. */
    frontend_stop(f, base);
    frontend_kill(f);
    frontend_message(f, HX_VHOST_RESET_DEVICE, HX_VHOST_VERSION, NULL, 0, NULL, 0);
    frontend_start(f);
    expect_silence(f);
    hx_close(&fd);
    fd = connect_from_guest(f, listener, 1000);
    hx_close(&fd);
    unlisten(f, &listener);
    frontend_free(f);
}

static void test_other_front_end(void)
{
    Frontend *f = frontend_new((FrontendOptions){.store = true});
    int listener = listen_for(f);
    int fd = connect_from_guest(f, listener, 1000);
    hx_close(&f->fd);
    expect_end(&fd);
    frontend_kill(f);
    frontend_reconnect(f);
    frontend_start(f);
    expect_silence(f);
    fd = connect_from_guest(f, listener, 1000);
    hx_close(&fd);
    unlisten(f, &listener);
    frontend_free(f);
}

/* What the store has may be of no use: then the front end is dropped, and the next one is served.
 */
static void test_unusable(void)
{
    Frontend *f = frontend_new((FrontendOptions){.store = true});
    int end[2];
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, end), ==, 0);
    HxFdStoreEntry entry = {.key = HX_VHOST_SET_MEM_TABLE << 8, .size = 8};
    memset(entry.data, 0xee, sizeof entry.data);
    g_assert_cmpint(hx_fd_store_collect(f->store, f->store_fd), ==, 1);
    g_assert_cmpint(hx_fd_store_send(end[0], &entry), ==, 0);
    g_assert_cmpint(hx_fd_store_collect(f->store, end[1]), ==, 1);
    frontend_kill(f);
    g_assert_true(frontend_is_dropped(f));
    frontend_reconnect(f);
    frontend_start(f);
    int listener = listen_for(f);
    int fd = connect_from_guest(f, listener, 1000);
    hx_close(&fd);
    unlisten(f, &listener);
    close(end[0]);
    close(end[1]);
    frontend_free(f);
}

int main(int argc, char **argv)
{
    static const FrontendOptions plain = {.store = true},
                                 all = {.store = true, .event_idx = true, .indirect = true};
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/vsock/restart/running/plain", &plain, test_running);
    g_test_add_data_func("/vsock/restart/running/all", &all, test_running);
    g_test_add_data_func("/vsock/restart/packets-in-ring/plain", &plain, test_packets_in_ring);
    g_test_add_data_func("/vsock/restart/packets-in-ring/all", &all, test_packets_in_ring);
    g_test_add_func("/vsock/restart/interrupt", test_interrupt);
    g_test_add_func("/vsock/restart/stopped", test_stopped);
    g_test_add_func("/vsock/restart/other-front-end", test_other_front_end);
    g_test_add_func("/vsock/restart/unusable", test_unusable);
    return g_test_run();
}
