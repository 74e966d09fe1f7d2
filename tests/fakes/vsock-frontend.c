/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/fakes/vsock-frontend.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_config.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "launcher/base/fd.h"
#include "launcher/base/process.h"
#include "launcher/base/unix-socket.h"

enum { RX, TX };
#define HEADER sizeof(struct virtio_vsock_hdr)
#define USER_BASE 0x7000000000ull
#define USER_GAP 0x100000000ull
#define SLOT_SIZE 0x20000
#define RING_SIZE 0x4000
#define RX_BUFFERS 0x10000
#define LOAD(field) __atomic_load_n(&(field), __ATOMIC_ACQUIRE)
#define STORE(field, value) __atomic_store_n(&(field), value, __ATOMIC_RELEASE)

/* --- memory: rings and buffers first, then the slots across the border of the regions ------------
 */

uint64_t frontend_guest_address(const Frontend *f, const void *pointer)
{
    return (const uint8_t *)pointer - f->memory + 0x1000;
}

static uint64_t user_address(const Frontend *f, const void *pointer)
{
    uint64_t offset = (const uint8_t *)pointer - f->memory;
    return USER_BASE + offset + (offset >= FRONTEND_REGION ? USER_GAP : 0);
}

void *frontend_slot(Frontend *f, unsigned index)
{
    /* The border is in the middle of slot 0. */
    uint64_t start = FRONTEND_REGION - SLOT_SIZE / 4;
    return f->memory + start + (uint64_t)(index % (FRONTEND_SLOTS - 10)) * SLOT_SIZE;
}

static void *rx_buffer(Frontend *f, unsigned index)
{
    return f->memory + RX_BUFFERS + index * (uint64_t)f->options.rx_buffer;
}

/* --- the process ---------------------------------------------------------------------------------
 */

static void start_process(Frontend *f)
{
    int ready[2], store[2] = {-1, -1};
    g_assert_cmpint(pipe2(ready, O_CLOEXEC), ==, 0);
    const char *build = g_getenv("BUILD") ? g_getenv("BUILD") : "build";
    g_autofree char *program = g_build_filename(build, "helixvm-vsock", NULL);
    g_autofree char *host = g_strdup_printf("--host-socket=%s", f->host_path);
    const char *argv[] = {program, "--fd=3", "--ready-fd=4", "--guest-cid=42", host, NULL, NULL};
    if (f->store) {
        argv[5] = "--store-fd=5";
        g_assert_cmpint(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, store), ==, 0);
        g_assert_cmpint(hx_fd_store_hand_over(f->store, store[0]), ==, 0);
    }
    HxProcess process = {
        .stdin_fd = -1,
        .stdout_fd = -1,
        .stderr_fd = f->log_fd,
        .argv = argv,
        .fds = (int[]){f->listen_fd, ready[1], store[1]},
        .n_fds = f->store ? 3 : 2,
    };
    g_autoptr(GError) error = NULL;
    f->pid = hx_process_spawn(&process, &error);
    g_assert_no_error(error);
    close(ready[1]);
    hx_close(&store[1]);
    f->store_fd = store[0];
    char line[16] = "";
    g_assert_cmpint(hx_read_all(ready[0], line, 8), ==, 0);
    g_assert_cmpstr(line, ==, "READY=1\n");
    g_assert_cmpint(hx_read_all(ready[0], line, 1), ==, -ENODATA);
    close(ready[0]);
}

static void make_sockets(Frontend *f)
{
    f->directory = g_dir_make_tmp("vsock-XXXXXX", NULL);
    g_assert_nonnull(f->directory);
    f->host_path = g_build_filename(f->directory, "host", NULL);
    f->socket_path = g_build_filename(f->directory, "front-end", NULL);
    f->listen_fd = hx_unix_listen(f->socket_path, SOCK_STREAM, 0600);
    g_assert_cmpint(f->listen_fd, >=, 0);
}

void frontend_kill(Frontend *f)
{
    kill(f->pid, SIGKILL);
    g_assert_cmpint(waitpid(f->pid, NULL, 0), ==, f->pid);
    g_assert_cmpint(hx_fd_store_collect(f->store, f->store_fd), ==, 0);
    hx_close(&f->store_fd);
    start_process(f);
}

static void connect_front_end(Frontend *f)
{
    f->fd = hx_unix_connect(f->socket_path, SOCK_STREAM);
    g_assert_cmpint(f->fd, >=, 0);
}

Frontend *frontend_new(FrontendOptions options)
{
    Frontend *f = g_new0(Frontend, 1);
    f->options = options;
    if (f->options.rx_buffer == 0)
        f->options.rx_buffer = 4096;
    f->store_fd = -1;
    f->log_fd = options.log ? memfd_create("log", MFD_CLOEXEC) : -1;
    f->store = options.store ? hx_fd_store_new() : NULL;
    make_sockets(f);
    start_process(f);
    f->memfd = memfd_create("guest", MFD_CLOEXEC);
    g_assert_cmpint(ftruncate(f->memfd, 2 * FRONTEND_REGION), ==, 0);
    f->memory = mmap(NULL, 2 * FRONTEND_REGION, PROT_READ | PROT_WRITE, MAP_SHARED, f->memfd, 0);
    g_assert_true(f->memory != MAP_FAILED);
    for (int i = 0; i < 2; i++) {
        f->queues[i].kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        f->queues[i].call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    }
    connect_front_end(f);
    if (!options.no_driver)
        frontend_start(f);
    return f;
}

void frontend_reconnect(Frontend *f)
{
    hx_close(&f->fd);
    connect_front_end(f);
}

void frontend_free(Frontend *f)
{
    g_assert_true(frontend_is_alive(f));
    kill(f->pid, SIGTERM);
    int status = -1;
    g_assert_cmpint(waitpid(f->pid, &status, 0), ==, f->pid);
    g_assert_cmpint(status, ==, 0);
    g_assert_false(g_file_test(f->host_path, G_FILE_TEST_EXISTS));
    hx_close(&f->fd);
    hx_close(&f->listen_fd);
    hx_close(&f->store_fd);
    hx_close(&f->log_fd);
    hx_fd_store_free(f->store);
    hx_close(&f->memfd);
    munmap(f->memory, 2 * FRONTEND_REGION);
    for (int i = 0; i < 2; i++) {
        hx_close(&f->queues[i].kick);
        hx_close(&f->queues[i].call);
    }
    unlink(f->socket_path);
    g_assert_cmpint(rmdir(f->directory), ==, 0);
    g_free(f->directory);
    g_free(f->host_path);
    g_free(f->socket_path);
    g_free(f);
}

bool frontend_is_alive(Frontend *f)
{
    return waitpid(f->pid, NULL, WNOHANG) == 0;
}

void frontend_expect_logged(Frontend *f, const char *text)
{
    g_autofree char *log = g_malloc0(1 << 20);
    ssize_t n = pread(f->log_fd, log, (1 << 20) - 1, f->log_seen);
    g_assert_cmpint(n, >=, 0);
    if (!strstr(log, text))
        g_error("'%s' is not in what was logged: '%s'", text, log);
    f->log_seen += n;
}

/* Nanoseconds of CPU time that it has had; it has one thread. */
static uint64_t cpu_time(Frontend *f)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/schedstat", f->pid), *text = NULL;
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    return g_ascii_strtoull(text, NULL, 10);
}

void frontend_expect_idle(Frontend *f)
{
    /* What is still to be done takes little: in one of these spans there is nothing. */
    uint64_t taken = 0;
    for (int i = 0; i < 20; i++) {
        uint64_t before = cpu_time(f);
        g_usleep(50000);
        taken = cpu_time(f) - before;
        if (taken == 0)
            return;
    }
    g_error("%" G_GUINT64_FORMAT " ns of CPU time in 50 ms, while nothing is to be done", taken);
}

unsigned frontend_count_descriptors(Frontend *f)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/fd", f->pid);
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    g_assert_nonnull(dir);
    unsigned count = 0;
    while (g_dir_read_name(dir))
        count++;
    return count;
}

/* --- messages ------------------------------------------------------------------------------------
 */

void frontend_message(Frontend *f, uint32_t request, uint32_t flags, const void *payload,
                      uint32_t size, const int *fds, unsigned n_fds)
{
    HxVhostHeader header = {request, flags, size};
    struct iovec iov[] = {{&header, sizeof header}, {(void *)payload, payload ? size : 0}};
    char control[CMSG_SPACE(64 * sizeof(int))] = "";
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
    if (n_fds > 0) {
        msg.msg_control = control;
        msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
    }
    sendmsg(f->fd, &msg, MSG_NOSIGNAL);
}

static void say(Frontend *f, uint32_t request, const void *payload, uint32_t size, int fd)
{
    frontend_message(f, request, HX_VHOST_VERSION, payload, size, &fd, fd >= 0);
}

void frontend_reply(Frontend *f, uint32_t request, void *payload, uint32_t size)
{
    HxVhostHeader header;
    g_assert_cmpint(hx_read_all(f->fd, &header, sizeof header), ==, 0);
    g_assert_cmpuint(header.request, ==, request);
    g_assert_cmpuint(header.flags, ==, HX_VHOST_VERSION | HX_VHOST_REPLY);
    g_assert_cmpuint(header.size, ==, size);
    g_assert_cmpint(hx_read_all(f->fd, payload, size), ==, 0);
}

bool frontend_is_dropped(Frontend *f)
{
    struct pollfd p = {.fd = f->fd, .events = POLLIN};
    char byte;
    ssize_t n;
    while (poll(&p, 1, FRONTEND_TIMEOUT) == 1)
        if ((n = recv(f->fd, &byte, 1, MSG_DONTWAIT)) <= 0)
            return n == 0 || errno != EAGAIN;
    return false;
}

static void start_queue(Frontend *f, unsigned i, unsigned base)
{
    FrontendQueue *q = &f->queues[i];
    struct vhost_vring_state size = {i, FRONTEND_QUEUE}, start = {i, base}, enable = {i, 1};
    struct vhost_vring_addr address = {
        .index = i,
        .desc_user_addr = user_address(f, q->vring.desc),
        .avail_user_addr = user_address(f, q->vring.avail),
        .used_user_addr = user_address(f, q->vring.used),
    };
    uint64_t index = i;
    say(f, HX_VHOST_SET_VRING_NUM, &size, sizeof size, -1);
    say(f, HX_VHOST_SET_VRING_BASE, &start, sizeof start, -1);
    say(f, HX_VHOST_SET_VRING_ADDR, &address, sizeof address, -1);
    say(f, HX_VHOST_SET_VRING_CALL, &index, sizeof index, q->call);
    say(f, HX_VHOST_SET_VRING_KICK, &index, sizeof index, q->kick);
    say(f, HX_VHOST_SET_VRING_ENABLE, &enable, sizeof enable, -1);
}

void frontend_share_memory(Frontend *f)
{
    HxVhostMemory table = {.count = 2};
    for (int i = 0; i < 2; i++)
        table.regions[i] = (HxVhostRegion){
            .guest_address = 0x1000 + i * FRONTEND_REGION,
            .size = FRONTEND_REGION,
            .user_address = USER_BASE + i * (FRONTEND_REGION + USER_GAP),
            .file_offset = i * FRONTEND_REGION,
        };
    frontend_message(f, HX_VHOST_SET_MEM_TABLE, HX_VHOST_VERSION | HX_VHOST_NEED_REPLY, &table,
                     offsetof(HxVhostMemory, regions) + 2 * sizeof table.regions[0],
                     (int[]){f->memfd, f->memfd}, 2);
    uint64_t status = -1;
    frontend_reply(f, HX_VHOST_SET_MEM_TABLE, &status, sizeof status);
    g_assert_cmpuint(status, ==, 0);
}

static void set_up(Frontend *f)
{
    uint64_t features = 1ull << VIRTIO_F_VERSION_1 | 1ull << HX_VHOST_F_PROTOCOL_FEATURES |
                        (uint64_t)f->options.event_idx << VIRTIO_RING_F_EVENT_IDX |
                        (uint64_t)f->options.indirect << VIRTIO_RING_F_INDIRECT_DESC |
                        (uint64_t)f->options.seqpacket << VIRTIO_VSOCK_F_SEQPACKET;
    uint64_t protocol = 1ull << HX_VHOST_PROTOCOL_F_REPLY_ACK | 1ull << HX_VHOST_PROTOCOL_F_CONFIG |
                        1ull << HX_VHOST_PROTOCOL_F_RESET_DEVICE;
    say(f, HX_VHOST_SET_PROTOCOL_FEATURES, &protocol, sizeof protocol, -1);
    say(f, HX_VHOST_SET_OWNER, NULL, 0, -1);
    say(f, HX_VHOST_SET_FEATURES, &features, sizeof features, -1);
    frontend_share_memory(f);
}

static void offer_buffer(Frontend *f, unsigned i)
{
    struct vring_desc *table = f->queues[RX].vring.desc;
    uint64_t address = frontend_guest_address(f, rx_buffer(f, i));
    uint32_t size = f->options.rx_buffer, first = f->options.rx_pieces ? HEADER - 20 : size;
    table[i] = (struct vring_desc){address, first, VRING_DESC_F_WRITE, 0};
    if (first < size) {
        unsigned rest = FRONTEND_SLOTS + i;
        table[i].flags |= VRING_DESC_F_NEXT;
        table[i].next = rest;
        table[rest] = (struct vring_desc){address + first, size - first, VRING_DESC_F_WRITE, 0};
    }
    frontend_offer(f, RX, i);
}

void frontend_start(Frontend *f)
{
    memset(f->memory, 0, RX_BUFFERS);
    memset(f->tx_busy, 0, sizeof f->tx_busy);
    f->held = 0;
    set_up(f);
    for (unsigned i = 0; i < 2; i++) {
        FrontendQueue *q = &f->queues[i];
        vring_init(&q->vring, FRONTEND_QUEUE, f->memory + i * RING_SIZE, 4096);
        q->vring.avail->idx = q->vring.used->idx = f->options.ring_base;
        q->last_used = f->options.ring_base;
        start_queue(f, i, f->options.ring_base);
    }
    for (unsigned i = 0; i < FRONTEND_SLOTS; i++)
        offer_buffer(f, i);
}

void frontend_stop(Frontend *f, unsigned base[2])
{
    for (unsigned i = 0; i < 2; i++) {
        struct vhost_vring_state state = {i, 0};
        say(f, HX_VHOST_GET_VRING_BASE, &state, sizeof state, -1);
        frontend_reply(f, HX_VHOST_GET_VRING_BASE, &state, sizeof state);
        base[i] = state.num;
    }
}

void frontend_resume(Frontend *f, const unsigned base[2])
{
    set_up(f);
    for (unsigned i = 0; i < 2; i++)
        start_queue(f, i, base[i]);
}

/* --- the driver ----------------------------------------------------------------------------------
 */

void frontend_offer(Frontend *f, unsigned index, uint16_t head)
{
    FrontendQueue *q = &f->queues[index];
    struct vring *r = &q->vring;
    uint16_t next = r->avail->idx;
    r->avail->ring[next % FRONTEND_QUEUE] = head;
    STORE(r->avail->idx, (uint16_t)(next + 1));
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    bool wanted = f->options.event_idx
                      ? vring_need_event(LOAD(vring_avail_event(r)), next + 1, next)
                      : !(LOAD(r->used->flags) & VRING_USED_F_NO_NOTIFY);
    if (wanted) {
        g_assert_cmpint(eventfd_write(q->kick, 1), ==, 0);
        q->kicks++;
    }
}

/* Wait for an interrupt unless the device has used more already. */
static bool wait_used(Frontend *f, unsigned index, int timeout)
{
    FrontendQueue *q = &f->queues[index];
    gint64 deadline = g_get_monotonic_time() + timeout * 1000ll;
    for (;;) {
        STORE(vring_used_event(&q->vring), q->last_used);
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        if (LOAD(q->vring.used->idx) != q->last_used)
            return true;
        gint64 left = (deadline - g_get_monotonic_time()) / 1000;
        struct pollfd p = {.fd = q->call, .events = POLLIN};
        if (left < 0 || poll(&p, 1, left) == 0)
            return LOAD(q->vring.used->idx) != q->last_used && timeout == 0;
        eventfd_t ignored;
        eventfd_read(q->call, &ignored);
    }
}

static void collect_sent(Frontend *f)
{
    FrontendQueue *q = &f->queues[TX];
    while (LOAD(q->vring.used->idx) != q->last_used) {
        struct vring_used_elem e = q->vring.used->ring[q->last_used++ % FRONTEND_QUEUE];
        g_assert_cmpuint(e.id % 2, ==, 0);
        g_assert_true(f->tx_busy[e.id / 2]);
        g_assert_cmpuint(e.len, ==, 0);
        f->tx_busy[e.id / 2] = false;
    }
}

static unsigned free_slot(Frontend *f)
{
    for (;;) {
        collect_sent(f);
        for (unsigned i = 0; i < FRONTEND_SLOTS - 10; i++)
            if (!f->tx_busy[i])
                return i;
        g_assert_true(wait_used(f, TX, FRONTEND_TIMEOUT));
    }
}

void frontend_wait_sent(Frontend *f)
{
    for (;;) {
        bool busy = false;
        collect_sent(f);
        for (unsigned i = 0; i < FRONTEND_SLOTS; i++)
            busy |= f->tx_busy[i];
        if (!busy)
            return;
        g_assert_true(wait_used(f, TX, FRONTEND_TIMEOUT));
    }
}

void frontend_send(Frontend *f, const struct virtio_vsock_hdr *hdr, const void *payload)
{
    unsigned slot = free_slot(f);
    uint8_t *data = frontend_slot(f, slot);
    struct vring_desc *table = f->queues[TX].vring.desc + 2 * slot, *d = table;
    struct vring_desc *indirect = (struct vring_desc *)(data + SLOT_SIZE - 0x100);
    g_assert_cmpuint(hdr->len, <=, FRONTEND_PACKET_MAX);
    memcpy(data, hdr, HEADER);
    if (payload)
        memcpy(data + HEADER, payload, hdr->len);
    if (f->options.indirect) {
        table[0] = (struct vring_desc){
            .addr = frontend_guest_address(f, indirect),
            .len = 2 * sizeof *indirect,
            .flags = VRING_DESC_F_INDIRECT,
        };
        d = indirect;
    }
    bool more = payload && hdr->len > 0;
    /* Not where the header ends: a device must not rely on that (virtio 1.2, 2.7.4). */
    unsigned first = more ? HEADER - 20 : HEADER;
    d[0] = (struct vring_desc){
        .addr = frontend_guest_address(f, data),
        .len = first,
        .flags = VRING_DESC_F_NEXT,
        .next = f->options.indirect ? 1 : 2 * slot + 1,
    };
    d[1] = (struct vring_desc){
        .addr = frontend_guest_address(f, data + first),
        .len = more ? HEADER - first + hdr->len : 0,
    };
    f->tx_busy[slot] = true;
    frontend_offer(f, TX, 2 * slot);
}

bool frontend_receive(Frontend *f, int timeout, struct virtio_vsock_hdr *ret_hdr, void *payload)
{
    FrontendQueue *q = &f->queues[RX];
    if (!wait_used(f, RX, timeout))
        return false;
    struct vring_used_elem e = q->vring.used->ring[q->last_used++ % FRONTEND_QUEUE];
    g_assert_cmpuint(e.id, <, FRONTEND_SLOTS);
    g_assert_cmpuint(e.len, >=, HEADER);
    g_assert_cmpuint(e.len, <=, f->options.rx_buffer);
    const uint8_t *data = rx_buffer(f, e.id);
    memcpy(ret_hdr, data, HEADER);
    g_assert_cmpuint(ret_hdr->len, ==, e.len - HEADER);
    if (payload)
        memcpy(payload, data + HEADER, ret_hdr->len);
    memset((void *)data, 0xee, f->options.rx_buffer);
    if (f->hold_buffers)
        f->held++;
    else
        frontend_offer(f, RX, e.id);
    return true;
}

void frontend_release_buffers(Frontend *f)
{
    FrontendQueue *q = &f->queues[RX];
    for (; f->held > 0; f->held--)
        frontend_offer(f, RX,
                       q->vring.used->ring[(uint16_t)(q->last_used - f->held) % FRONTEND_QUEUE].id);
}
