/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Front ends and drivers that break the rules: the connection or the device ends, the process does
 * not, and the next front end is served. */
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

#include "launcher/base/fd.h"
#include "launcher/base/unix-socket.h"
#include "tests/fakes/vsock-frontend.h"

/* --- messages ------------------------------------------------------------------------------------
 */

typedef struct {
    const char *what;
    uint32_t request, flags, size;
    const void *payload;
    unsigned n_fds;
} BadMessage;

#define VRING(i, n)                                                                                \
    (const struct vhost_vring_state[])                                                             \
    {                                                                                              \
        {                                                                                          \
            i, n                                                                                   \
        }                                                                                          \
    }
#define U64(value)                                                                                 \
    (const uint64_t[])                                                                             \
    {                                                                                              \
        value                                                                                      \
    }
#define REGION(...)                                                                                \
    (const HxVhostMemory[])                                                                        \
    {                                                                                              \
        {                                                                                          \
            .count = 1, .regions = { {__VA_ARGS__} }                                               \
        }                                                                                          \
    }

/* Two regions of a page, the second @guest and @user behind the first. */
#define REGIONS(guest, user)                                                                       \
    (const HxVhostMemory[])                                                                        \
    {                                                                                              \
        {                                                                                          \
            .count = 2, .regions = { {0, 4096, 0, 0}, {guest, 4096, user, 4096} }                  \
        }                                                                                          \
    }

static void test_messages(void)
{
    static const uint8_t zeros[4096];
    const BadMessage bad[] = {
        {"version 0", HX_VHOST_SET_OWNER, 0, 0, NULL, 0},
        {"a reply", HX_VHOST_SET_OWNER, 5, 0, NULL, 0},
        {"request 0", 0, 1, 0, NULL, 0},
        {"an unknown request", 63, 1, 0, NULL, 0},
        {"a huge request", UINT32_MAX, 1, 0, NULL, 0},
        {"too short", HX_VHOST_SET_VRING_NUM, 1, 4, zeros, 0},
        {"too long", HX_VHOST_SET_VRING_NUM, 1, 12, zeros, 0},
        {"a huge size", HX_VHOST_SET_VRING_NUM, 1, UINT32_MAX, NULL, 0},
        {"a descriptor too many", HX_VHOST_SET_OWNER, 1, 0, NULL, 1},
        {"nine descriptors", HX_VHOST_SET_MEM_TABLE, 1, 8, zeros, 9},
        {"features not offered", HX_VHOST_SET_FEATURES, 1, 8, U64(UINT64_MAX), 0},
        {"protocol features not offered", HX_VHOST_SET_PROTOCOL_FEATURES, 1, 8, U64(2), 0},
        {"queue 2", HX_VHOST_SET_VRING_NUM, 1, 8, VRING(2, 128), 0},
        {"size 0", HX_VHOST_SET_VRING_NUM, 1, 8, VRING(0, 0), 0},
        {"size 100", HX_VHOST_SET_VRING_NUM, 1, 8, VRING(0, 100), 0},
        {"size 32768", HX_VHOST_SET_VRING_NUM, 1, 8, VRING(0, 32768), 0},
        {"base 65536", HX_VHOST_SET_VRING_BASE, 1, 8, VRING(0, 65536), 0},
        {"base of queue 2^32-1", HX_VHOST_GET_VRING_BASE, 1, 8, VRING(UINT32_MAX, 0), 0},
        {"enable 2", HX_VHOST_SET_VRING_ENABLE, 1, 8, VRING(0, 2), 0},
        {"kick without rings", HX_VHOST_SET_VRING_KICK, 1, 8, U64(0), 1},
        {"kick without descriptor", HX_VHOST_SET_VRING_KICK, 1, 8, U64(0), 0},
        {"kick by polling", HX_VHOST_SET_VRING_KICK, 1, 8, U64(0x100), 0},
        {"call of queue 255", HX_VHOST_SET_VRING_CALL, 1, 8, U64(255), 1},
        {"call with more bits", HX_VHOST_SET_VRING_CALL, 1, 8, U64(0x1000), 1},
        {"regions without descriptors", HX_VHOST_SET_MEM_TABLE, 1, 40, REGION(0, 4096, 0, 0), 0},
        {"an empty region", HX_VHOST_SET_MEM_TABLE, 1, 40, REGION(0, 0, 0, 0), 1},
        {"a region that wraps", HX_VHOST_SET_MEM_TABLE, 1, 40, REGION(-4096ull, 8192, 0, 0), 1},
        {"an offset that wraps", HX_VHOST_SET_MEM_TABLE, 1, 40, REGION(0, 4096, 0, -4096ull), 1},
        {"beyond the file", HX_VHOST_SET_MEM_TABLE, 1, 40, REGION(0, 1ull << 40, 0, 0), 1},
        {"regions that overlap in the guest", HX_VHOST_SET_MEM_TABLE, 1, 72, REGIONS(4095, 8192),
         2},
        {"regions that overlap in the front end", HX_VHOST_SET_MEM_TABLE, 1, 72,
         REGIONS(8192, 4095), 2},
        {"more regions than bytes", HX_VHOST_SET_MEM_TABLE, 1, 8, (const uint32_t[]){1, 0}, 1},
        {"nine regions", HX_VHOST_SET_MEM_TABLE, 1, 8, (const uint32_t[]){9, 0}, 8},
        {"configuration beyond the end", HX_VHOST_GET_CONFIG, 1, 20,
         (const uint32_t[]){4, 8, 0, 0, 0}, 0},
        {"configuration at 2^32-8", HX_VHOST_GET_CONFIG, 1, 20, (const uint32_t[]){-8u, 8, 0, 0, 0},
         0},
        {"configuration larger than its message", HX_VHOST_GET_CONFIG, 1, 12,
         (const uint32_t[]){0, 8, 0}, 0},
        {"postcopy", 28, 1, 0, NULL, 0},
        {"a log", 6, 1, 16, zeros, 1},
    };
    Frontend *f = frontend_new((FrontendOptions){.no_driver = true, .log = true});
    int fds[16];
    for (unsigned i = 0; i < G_N_ELEMENTS(fds); i++)
        fds[i] = f->memfd;
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_test_message("%s", bad[i].what);
        frontend_message(f, bad[i].request, bad[i].flags, bad[i].payload, bad[i].size, fds,
                         bad[i].n_fds);
        g_assert_true(frontend_is_dropped(f));
        frontend_expect_logged(f, "the front end is dropped: ");
        frontend_reconnect(f);
    }
    frontend_start(f);
    frontend_expect_idle(f);
    frontend_free(f);
}

/* What may only be said of a queue that is stopped. */
static void test_running_queue(void)
{
    Frontend *f = frontend_new((FrontendOptions){.event_idx = true});
    static const uint32_t requests[] = {HX_VHOST_SET_VRING_NUM, HX_VHOST_SET_VRING_BASE};
    for (unsigned i = 0; i < G_N_ELEMENTS(requests); i++) {
        frontend_message(f, requests[i], HX_VHOST_VERSION, VRING(0, 1024), 8, NULL, 0);
        g_assert_true(frontend_is_dropped(f));
        frontend_reconnect(f);
        frontend_start(f);
    }
    /* Rings that are nowhere: for those that run, and those that are to. */
    const struct vhost_vring_addr nowhere = {.index = 0, .desc_user_addr = 0x1000};
    frontend_message(f, HX_VHOST_SET_VRING_ADDR, HX_VHOST_VERSION, &nowhere, sizeof nowhere, NULL,
                     0);
    g_assert_true(frontend_is_dropped(f));
    frontend_reconnect(f);
    frontend_start(f);
    frontend_free(f);
}

/* Whatever bytes and descriptors come: dropped or not, the process goes on. */
static void test_garbage(void)
{
    Frontend *f = frontend_new((FrontendOptions){.no_driver = true});
    for (int i = 0; i < 1500; i++) {
        if (i % 10 == 0)
            frontend_start(f);
        uint8_t payload[300];
        for (unsigned j = 0; j < sizeof payload; j++)
            payload[j] = g_test_rand_bit() ? g_test_rand_int() : g_test_rand_int_range(0, 3);
        unsigned n_fds = g_test_rand_int_range(0, 4);
        unsigned size = g_test_rand_bit() ? 8u : (unsigned)g_test_rand_int_range(0, 300);
        int event = eventfd(0, EFD_CLOEXEC), fds[] = {event, f->memfd, event, f->memfd};
        frontend_message(f, g_test_rand_int_range(0, 41), 1, payload, size, fds, n_fds);
        close(event);
        if (i % 10 == 9) {
            send(f->fd, payload, g_test_rand_int_range(0, 300), MSG_NOSIGNAL);
            frontend_reconnect(f);
        }
        g_assert_true(frontend_is_alive(f));
    }
    frontend_reconnect(f);
    frontend_start(f);
    frontend_free(f);
}

/* --- rings
 * ----------------------------------------------------------------------------------------- */

enum { RX, TX };

/* The device has stopped: a host's client is refused, and a driver that starts anew is served. */
static void expect_broken(Frontend *f, const char *what)
{
    g_test_message("%s", what);
    for (int tries = 0;; tries++) {
        int fd = hx_unix_connect(f->host_path, SOCK_STREAM);
        g_assert_cmpint(fd, >=, 0);
        g_assert_cmpint(hx_write_all(fd, "CONNECT 22\n", 11), ==, 0);
        struct pollfd p = {.fd = fd, .events = POLLIN};
        bool refused = poll(&p, 1, 100) == 1;
        close(fd);
        if (refused)
            break;
        g_assert_cmpint(tries, <, 50);
    }
    g_assert_true(frontend_is_alive(f));
    if (f->log_fd >= 0)
        frontend_expect_logged(f, "the guest's driver broke the ");
    unsigned base[2];
    frontend_stop(f, base);
    frontend_start(f);
    struct virtio_vsock_hdr hdr = {
        .src_cid = FRONTEND_CID, .dst_cid = 2, .src_port = 1, .dst_port = 2, .type = 1, .op = 1};
    frontend_send(f, &hdr, NULL);
    g_assert_true(frontend_receive(f, FRONTEND_TIMEOUT, &hdr, NULL));
    g_assert_cmpuint(hdr.op, ==, VIRTIO_VSOCK_OP_RST);
    frontend_wait_sent(f);
}

static void tx_descriptor(Frontend *f, unsigned index, uint64_t address, uint32_t length,
                          uint16_t flags, uint16_t next)
{
    f->queues[TX].vring.desc[index] = (struct vring_desc){address, length, flags, next};
}

static void test_chains(void)
{
    Frontend *f = frontend_new((FrontendOptions){.event_idx = true, .indirect = true, .log = true});
    uint64_t slot = frontend_guest_address(f, frontend_slot(f, 1));
    struct vring_desc *table = frontend_slot(f, 1);

    tx_descriptor(f, 0, slot, 44, VRING_DESC_F_NEXT, 0);
    frontend_offer(f, TX, 0);
    expect_broken(f, "a descriptor that is its own next");

    tx_descriptor(f, 0, slot, 10, VRING_DESC_F_NEXT, 1);
    tx_descriptor(f, 1, slot, 10, VRING_DESC_F_NEXT, 0);
    frontend_offer(f, TX, 0);
    expect_broken(f, "two that are each other's next");

    tx_descriptor(f, 0, slot, 10, VRING_DESC_F_NEXT, FRONTEND_QUEUE);
    frontend_offer(f, TX, 0);
    expect_broken(f, "a next beyond the table");

    frontend_offer(f, TX, FRONTEND_QUEUE);
    expect_broken(f, "a head beyond the table");

    static const uint64_t outside[] = {0,     0xfff, 2 * FRONTEND_REGION + 0x1000,
                                       -1ull, -8ull, 2 * FRONTEND_REGION + 0x1000 - 43};
    for (unsigned i = 0; i < G_N_ELEMENTS(outside); i++) {
        tx_descriptor(f, 0, outside[i], 44, 0, 0);
        frontend_offer(f, TX, 0);
        expect_broken(f, "a buffer outside memory");
        tx_descriptor(f, 0, outside[i], 32, VRING_DESC_F_INDIRECT, 0);
        frontend_offer(f, TX, 0);
        expect_broken(f, "a table outside memory");
    }
    tx_descriptor(f, 0, slot, UINT32_MAX, 0, 0);
    frontend_offer(f, TX, 0);
    expect_broken(f, "a buffer larger than memory");

    static const uint32_t sizes[] = {0, 15, 17, 16 * 1025, UINT32_MAX};
    for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++) {
        tx_descriptor(f, 0, slot, sizes[i], VRING_DESC_F_INDIRECT, 0);
        frontend_offer(f, TX, 0);
        expect_broken(f, "a table of impossible size");
    }
    tx_descriptor(f, 0, slot + 4, 16, VRING_DESC_F_INDIRECT, 0);
    frontend_offer(f, TX, 0);
    expect_broken(f, "a table that is not aligned");

    table[0] = (struct vring_desc){slot, 16, VRING_DESC_F_INDIRECT, 0};
    tx_descriptor(f, 0, slot, 16, VRING_DESC_F_INDIRECT, 0);
    frontend_offer(f, TX, 0);
    expect_broken(f, "a table within a table");

    tx_descriptor(f, 0, frontend_guest_address(f, f->queues[TX].vring.desc), 16,
                  VRING_DESC_F_INDIRECT, 0);
    frontend_offer(f, TX, 0);
    expect_broken(f, "the ring itself as the table");

    table[0] = (struct vring_desc){slot, 16, VRING_DESC_F_NEXT, 1};
    tx_descriptor(f, 0, slot, 16, VRING_DESC_F_INDIRECT, 0);
    frontend_offer(f, TX, 0);
    expect_broken(f, "a next beyond its table");

    tx_descriptor(f, 0, slot, 44, VRING_DESC_F_WRITE, 0);
    frontend_offer(f, TX, 0);
    expect_broken(f, "a packet to be written");

    tx_descriptor(f, 0, slot, 43, 0, 0);
    frontend_offer(f, TX, 0);
    expect_broken(f, "half a header");

    f->queues[TX].vring.avail->idx += FRONTEND_QUEUE + 1;
    eventfd_write(f->queues[TX].kick, 1);
    expect_broken(f, "an available index beyond the ring");

    /* The other queue: nothing looks at its buffers before there is something to send. */
    for (unsigned i = 0; i < FRONTEND_SLOTS; i++)
        f->queues[RX].vring.desc[i].len = 44;
    expect_broken(f, "buffers for headers alone");
    for (unsigned i = 0; i < FRONTEND_SLOTS; i++)
        f->queues[RX].vring.desc[i].flags = 0;
    expect_broken(f, "buffers that may not be written");

    tx_descriptor(f, 0, slot, 43, 0, 0);
    frontend_offer(f, TX, 0);
    eventfd_write(f->queues[RX].kick, 1);
    frontend_expect_idle(f); /* what is broken, and kicked, is left alone */
    frontend_free(f);
}

/* What the driver did not take is not to be used. */
static void test_not_negotiated(void)
{
    Frontend *f = frontend_new((FrontendOptions){.log = true});
    struct vring_desc *table = frontend_slot(f, 1);
    uint64_t slot = frontend_guest_address(f, table);
    table[0] = (struct vring_desc){slot + 16, 44, 0, 0};
    tx_descriptor(f, 0, slot, 16, VRING_DESC_F_INDIRECT, 0);
    frontend_offer(f, TX, 0);
    expect_broken(f, "an indirect descriptor");
    frontend_free(f);
}

/* Lengths that lie: the connection ends, the device goes on. */
static void test_packets(void)
{
    Frontend *f = frontend_new((FrontendOptions){.event_idx = true, .log = true});
    g_autofree char *path = g_strdup_printf("%s_5000", f->host_path);
    int listener = hx_unix_listen(path, SOCK_STREAM, 0600);
    struct virtio_vsock_hdr hdr = {.src_cid = FRONTEND_CID,
                                   .dst_cid = 2,
                                   .src_port = 1000,
                                   .dst_port = 5000,
                                   .type = 1,
                                   .op = VIRTIO_VSOCK_OP_REQUEST,
                                   .buf_alloc = 1000};
    static const uint32_t lengths[] = {11, 65537, INT32_MAX, UINT32_MAX};
    for (unsigned i = 0; i < G_N_ELEMENTS(lengths); i++) {
        hdr.op = VIRTIO_VSOCK_OP_REQUEST;
        hdr.len = 0;
        frontend_send(f, &hdr, NULL);
        int fd = accept(listener, NULL, NULL);
        struct virtio_vsock_hdr answer;
        g_assert_true(frontend_receive(f, FRONTEND_TIMEOUT, &answer, NULL));
        g_assert_cmpuint(answer.op, ==, VIRTIO_VSOCK_OP_RESPONSE);
        frontend_wait_sent(f);
        hdr.op = VIRTIO_VSOCK_OP_RW;
        hdr.len = lengths[i];
        memcpy(frontend_slot(f, 1), &hdr, sizeof hdr);
        tx_descriptor(f, 2, frontend_guest_address(f, frontend_slot(f, 1)), sizeof hdr + 10, 0, 0);
        f->tx_busy[1] = true;
        frontend_offer(f, TX, 2);
        g_assert_true(frontend_receive(f, FRONTEND_TIMEOUT, &answer, NULL));
        g_assert_cmpuint(answer.op, ==, VIRTIO_VSOCK_OP_RST);
        frontend_expect_logged(f, "the guest broke the protocol (operation 5, ");
        frontend_wait_sent(f);
        char byte;
        g_assert_cmpint(recv(fd, &byte, 1, 0), ==, 0);
        close(fd);
    }
    close(listener);
    unlink(path);
    frontend_free(f);
}

/* A guest that makes RSTs due and takes none: bounded, and nothing is lost when it does. */
static void test_resets_pile_up(void)
{
    Frontend *f = frontend_new((FrontendOptions){.event_idx = true});
    f->hold_buffers = true;
    struct virtio_vsock_hdr hdr = {.src_cid = FRONTEND_CID,
                                   .dst_cid = 2,
                                   .dst_port = 5000,
                                   .type = 1,
                                   .op = VIRTIO_VSOCK_OP_REQUEST};
    for (unsigned i = 0; i < 1000; i++) {
        hdr.src_port = i;
        frontend_send(f, &hdr, NULL);
    }
    struct virtio_vsock_hdr answer;
    for (unsigned i = 0; i < 1000; i++) {
        if (i % FRONTEND_SLOTS == 0)
            frontend_release_buffers(f);
        g_assert_true(frontend_receive(f, FRONTEND_TIMEOUT, &answer, NULL));
        g_assert_cmpuint(answer.op, ==, VIRTIO_VSOCK_OP_RST);
        g_assert_cmpuint(answer.dst_port, ==, i);
    }
    /* Twice what is queued: the rest waits in the guest's own ring. */
    frontend_release_buffers(f);
    unsigned sent = 0;
    hdr.src_port = 0;
    for (bool paused = false; !paused; sent++) {
        g_assert_cmpuint(sent, <, 4000);
        frontend_send(f, &hdr, NULL);
        hdr.src_port++;
        unsigned waiting = 0;
        for (unsigned i = 0; i < FRONTEND_SLOTS; i++)
            waiting += f->tx_busy[i];
        paused = waiting > 100;
    }
    for (unsigned i = 0; i < sent; i++) {
        if (i % FRONTEND_SLOTS == 0)
            frontend_release_buffers(f);
        g_assert_true(frontend_receive(f, FRONTEND_TIMEOUT, &answer, NULL));
        g_assert_cmpuint(answer.dst_port, ==, i);
    }
    frontend_wait_sent(f);
    frontend_expect_idle(f);
    frontend_free(f);
}

/* A guest that has much to be complained of fills no disk. */
static void test_log_is_bounded(void)
{
    Frontend *f = frontend_new((FrontendOptions){.event_idx = true, .log = true});
    struct virtio_vsock_hdr hdr = {.src_cid = FRONTEND_CID + 1, .dst_cid = 2, .type = 1};
    for (unsigned i = 0; i < 3000; i++)
        frontend_send(f, &hdr, NULL);
    frontend_wait_sent(f);
    g_autofree char *log = g_malloc0(1 << 20);
    g_assert_cmpint(pread(f->log_fd, log, (1 << 20) - 1, 0), <, 1 << 16);
    unsigned lines = 0;
    for (const char *at = log; (at = strchr(at, '\n')); at++)
        lines++;
    g_assert_cmpuint(lines, >=, 200);
    g_assert_cmpuint(lines, <, 210);
    frontend_expect_logged(f, "a packet of the guest's is dropped");
    frontend_free(f);
}

/* --- descriptors, memory and time
 * ----------------------------------------------------------------- */

static unsigned count_mappings(Frontend *f)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/maps", f->pid), *text = NULL;
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    unsigned count = 0;
    for (const char *at = text; (at = strstr(at, "memfd:guest")); at++)
        count++;
    return count;
}

/* What is not an eventfd is refused for each of kick, call and error. */
static void test_wrong_descriptors(void)
{
    Frontend *f = frontend_new((FrontendOptions){.no_driver = true});
    int pipe_fds[2], pair[2];
    g_assert_cmpint(pipe2(pipe_fds, O_CLOEXEC), ==, 0);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
    const struct {
        const char *what;
        int fd;
    } wrong[] = {
        {"a pipe's reading end", pipe_fds[0]},
        {"a pipe's writing end", pipe_fds[1]},
        {"a socket", pair[0]},
        {"the listening socket of the device", f->listen_fd},
        {"a file", f->memfd},
        {"a directory", open("/", O_PATH | O_CLOEXEC)},
        {"a character device", open("/dev/zero", O_RDWR | O_CLOEXEC)},
        {"an epoll descriptor", epoll_create1(EPOLL_CLOEXEC)},
        {"a timer", timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC)},
    };
    static const unsigned requests[] = {HX_VHOST_SET_VRING_KICK, HX_VHOST_SET_VRING_CALL,
                                        HX_VHOST_SET_VRING_ERR};
    for (unsigned i = 0; i < G_N_ELEMENTS(wrong); i++)
        for (unsigned j = 0; j < G_N_ELEMENTS(requests); j++) {
            g_test_message("%s for request %u", wrong[i].what, requests[j]);
            g_assert_cmpint(wrong[i].fd, >=, 0);
            frontend_message(f, requests[j], 1, U64(1), 8, &wrong[i].fd, 1);
            g_assert_true(frontend_is_dropped(f));
            frontend_reconnect(f);
            frontend_message(f, requests[j], 1, U64(1), 8, &f->fd, 1);
            g_assert_true(frontend_is_dropped(f));
            frontend_reconnect(f);
        }
    for (unsigned i = 5; i < G_N_ELEMENTS(wrong); i++)
        close(wrong[i].fd);
    for (int i = 0; i < 2; i++) {
        close(pipe_fds[i]);
        close(pair[i]);
    }
    frontend_start(f);
    frontend_free(f);
}

/* A counter that is full, where a write would wait for a reader. */
static void test_full_counter(void)
{
    Frontend *f = frontend_new((FrontendOptions){.event_idx = false});
    int full = eventfd(0, EFD_CLOEXEC);
    g_assert_cmpint(eventfd_write(full, UINT64_MAX - 1), ==, 0);
    for (unsigned i = 0; i < 2; i++)
        frontend_message(f, HX_VHOST_SET_VRING_CALL, HX_VHOST_VERSION, U64(i), 8, &full, 1);
    struct virtio_vsock_hdr hdr = {
        .src_cid = FRONTEND_CID, .dst_cid = 2, .src_port = 1, .dst_port = 2, .type = 1, .op = 1};
    frontend_send(f, &hdr, NULL);
    const uint16_t *answers = &f->queues[RX].vring.used->idx;
    for (int i = 0; i < FRONTEND_TIMEOUT && __atomic_load_n(answers, __ATOMIC_ACQUIRE) == 0; i++)
        g_usleep(1000);
    g_assert_cmpuint(*answers, ==, 1);
    frontend_expect_idle(f);
    for (unsigned i = 0; i < 2; i++)
        frontend_message(f, HX_VHOST_SET_VRING_CALL, HX_VHOST_VERSION, U64(i), 8,
                         &f->queues[i].call, 1);
    frontend_wait_sent(f);
    close(full);
    frontend_free(f);
}

/* All messages so far have been handled. */
static void wait_handled(Frontend *f)
{
    uint64_t features;
    frontend_message(f, HX_VHOST_GET_FEATURES, HX_VHOST_VERSION, NULL, 0, NULL, 0);
    frontend_reply(f, HX_VHOST_GET_FEATURES, &features, sizeof features);
}

/* Front ends that come and go, with and without complete messages, leave nothing behind. */
static void test_reconnects(void)
{
    Frontend *f = frontend_new((FrontendOptions){.event_idx = true});
    const int fds[] = {f->memfd, f->memfd, f->memfd, f->memfd,
                       f->memfd, f->memfd, f->memfd, f->memfd};
    frontend_reconnect(f);
    frontend_start(f);
    wait_handled(f);
    unsigned descriptors = frontend_count_descriptors(f), mappings = count_mappings(f);
    g_assert_cmpuint(mappings, ==, 2);
    for (unsigned i = 0; i < 1000; i++) {
        /* one in the middle of a message, one with too much, one with working queues */
        frontend_reconnect(f);
        frontend_message(f, HX_VHOST_SET_MEM_TABLE, 1, NULL, 8, fds, 8);
        frontend_reconnect(f);
        frontend_message(f, HX_VHOST_SET_VRING_CALL, 1, U64(0), 8, fds, 8);
        frontend_reconnect(f);
        if (i % 10 == 0)
            frontend_start(f);
    }
    frontend_start(f);
    wait_handled(f);
    g_assert_cmpuint(frontend_count_descriptors(f), ==, descriptors);
    g_assert_cmpuint(count_mappings(f), ==, mappings);
    frontend_free(f);
}

/* A file shortened while it is mapped: SIGBUS where it is read, and the front end is dropped. */
static void test_shortened_memory(void)
{
    Frontend *f = frontend_new((FrontendOptions){.event_idx = true, .log = true});
    static const unsigned sizes[] = {0, 0x10000 /* the rings are there, the packets are not */};
    for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++) {
        g_test_message("%u bytes left", sizes[i]);
        tx_descriptor(f, 0, frontend_guest_address(f, frontend_slot(f, 1)), 44, 0, 0);
        f->queues[TX].vring.avail->ring[0] = 0;
        f->queues[TX].vring.avail->idx = 1;
        g_assert_cmpint(ftruncate(f->memfd, sizes[i]), ==, 0);
        g_assert_cmpint(eventfd_write(f->queues[TX].kick, 1), ==, 0);
        g_assert_true(frontend_is_dropped(f));
        frontend_expect_logged(f, "it has taken back memory that it shares");
        g_assert_cmpint(ftruncate(f->memfd, 2 * FRONTEND_REGION), ==, 0);
        frontend_reconnect(f);
        frontend_start(f);
    }
    /* Between the check of its size and the first use. */
    unsigned base[2];
    frontend_stop(f, base);
    g_assert_cmpint(ftruncate(f->memfd, 0), ==, 0);
    frontend_message(f, HX_VHOST_SET_VRING_KICK, 1, U64(0), 8, &f->queues[0].kick, 1);
    g_assert_true(frontend_is_dropped(f));
    g_assert_cmpint(ftruncate(f->memfd, 2 * FRONTEND_REGION), ==, 0);
    frontend_reconnect(f);
    frontend_start(f);
    frontend_free(f);
}

typedef struct {
    Frontend *frontend;
    bool stop;
} Scribbler;

/* Fields that are right for the most part and wrong at any moment. */
static gpointer scribble(gpointer data)
{
    Scribbler *scribbler = data;
    Frontend *f = scribbler->frontend;
    g_autoptr(GRand) random = g_rand_new_with_seed(1);
    while (!__atomic_load_n(&scribbler->stop, __ATOMIC_RELAXED)) {
        unsigned i = g_rand_int_range(random, 0, 8);
        struct vring_desc *table =
            g_rand_boolean(random) ? f->queues[TX].vring.desc : (void *)frontend_slot(f, 4);
        uint32_t *slot = frontend_slot(f, 1 + i % 3);
        volatile struct vring_desc *d = &table[i];
        d->addr = frontend_guest_address(f, g_rand_int_range(random, 0, 50) ? slot : (void *)table);
        d->len = g_rand_int_range(random, 0, 20) ? 100 : g_rand_int(random);
        d->flags = g_rand_int_range(random, 0, 20) ? 0 : g_rand_int_range(random, 0, 8);
        d->next = g_rand_int_range(random, 0, 300);
        ((volatile uint32_t *)slot)[g_rand_int_range(random, 0, 11)] =
            g_rand_int_range(random, 0, 50);
    }
    return NULL;
}

/* Descriptors, an indirect table and packets that change while the device reads them. */
static void test_changing_memory(void)
{
    Frontend *f = frontend_new((FrontendOptions){.event_idx = true, .indirect = true});
    Scribbler scribbler = {.frontend = f};
    GThread *thread = g_thread_new("scribble", scribble, &scribbler);
    gint64 end = g_get_monotonic_time() + G_USEC_PER_SEC;
    unsigned rounds = 0;
    for (; g_get_monotonic_time() < end; rounds++) {
        for (unsigned i = 0; i < 100; i++)
            f->queues[TX].vring.avail->ring[i] = i % 8;
        for (unsigned i = 0; i < 100; i++) {
            f->queues[TX].vring.avail->idx++;
            eventfd_write(f->queues[TX].kick, 1);
        }
        wait_handled(f);
        g_assert_true(frontend_is_alive(f));
        unsigned base[2];
        frontend_stop(f, base);
        frontend_start(f);
    }
    g_test_message("%u rounds", rounds);
    __atomic_store_n(&scribbler.stop, true, __ATOMIC_RELAXED);
    g_thread_join(thread);
    unsigned base[2];
    frontend_stop(f, base);
    frontend_start(f);
    tx_descriptor(f, 0, 0, 44, 0, 0);
    frontend_offer(f, TX, 0);
    expect_broken(f, "a buffer outside memory, after all that");
    frontend_free(f);
}

static gpointer talk(gpointer data)
{
    Frontend *f = data;
    HxVhostHeader messages[256];
    for (unsigned i = 0; i < G_N_ELEMENTS(messages); i++)
        messages[i] = (HxVhostHeader){HX_VHOST_SET_OWNER, HX_VHOST_VERSION, 0};
    while (send(f->fd, messages, sizeof messages, MSG_NOSIGNAL) > 0)
        ;
    return NULL;
}

/* Many messages at once, each to be answered: none is left behind when a turn ends. */
static void test_many_messages(void)
{
    Frontend *f = frontend_new((FrontendOptions){.no_driver = true});
    HxVhostHeader messages[100];
    for (unsigned count = 1; count <= G_N_ELEMENTS(messages); count++) {
        uint64_t features;
        for (unsigned i = 0; i < count; i++)
            messages[i] = (HxVhostHeader){HX_VHOST_GET_FEATURES, HX_VHOST_VERSION, 0};
        size_t size = count * sizeof messages[0];
        g_assert_cmpint(hx_write_all(f->fd, messages, size), ==, 0);
        for (unsigned i = 0; i < count; i++)
            frontend_reply(f, HX_VHOST_GET_FEATURES, &features, sizeof features);
    }
    frontend_free(f);
}

/* A front end that never stops sending messages: the host's programs are still heard. */
static void test_talkative(void)
{
    Frontend *f = frontend_new((FrontendOptions){.no_driver = true});
    GThread *thread = g_thread_new("talk", talk, f);
    for (int i = 0; i < 20; i++) {
        int fd = hx_unix_connect(f->host_path, SOCK_STREAM);
        g_assert_cmpint(fd, >=, 0);
        g_assert_cmpint(hx_write_all(fd, "CONNECT 22\n", 11), ==, 0);
        struct pollfd p = {.fd = fd, .events = POLLIN};
        g_assert_cmpint(poll(&p, 1, FRONTEND_TIMEOUT), ==, 1);
        close(fd);
    }
    shutdown(f->fd, SHUT_RDWR);
    g_thread_join(thread);
    frontend_free(f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vsock/hostile/messages", test_messages);
    g_test_add_func("/vsock/hostile/running-queue", test_running_queue);
    g_test_add_func("/vsock/hostile/garbage", test_garbage);
    g_test_add_func("/vsock/hostile/chains", test_chains);
    g_test_add_func("/vsock/hostile/not-negotiated", test_not_negotiated);
    g_test_add_func("/vsock/hostile/packets", test_packets);
    g_test_add_func("/vsock/hostile/wrong-descriptors", test_wrong_descriptors);
    g_test_add_func("/vsock/hostile/full-counter", test_full_counter);
    g_test_add_func("/vsock/hostile/reconnects", test_reconnects);
    g_test_add_func("/vsock/hostile/shortened-memory", test_shortened_memory);
    g_test_add_func("/vsock/hostile/changing-memory", test_changing_memory);
    g_test_add_func("/vsock/hostile/many-messages", test_many_messages);
    g_test_add_func("/vsock/hostile/talkative", test_talkative);
    g_test_add_func("/vsock/hostile/resets-pile-up", test_resets_pile_up);
    g_test_add_func("/vsock/hostile/log-is-bounded", test_log_is_bounded);
    return g_test_run();
}
