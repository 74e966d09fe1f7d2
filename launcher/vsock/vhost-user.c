/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Theory of operation
 *
 * One front end at a time.  Its messages are handled in order, each to its end, between two rounds
 * of packets on the same thread; nothing of the guest's is touched while a message is handled.
 *
 * A queue starts with its kick descriptor and stops with GET_VRING_BASE ("Ring states" in the
 * document); it is served while it is started and enabled.  QEMU stops the queues both when the
 * guest resets its device and when the VM is paused.  In the first case the guest has forgotten its
 * connections, in the second it goes on with them.  RESET_DEVICE tells them apart; for front ends
 * that do not send it, so does a queue that starts elsewhere than it stopped.
 *
 * Any message that cannot be right ends the connection, with the reason in the log.
 */
#include "launcher/vsock/vhost-user.h"

#include <endian.h>
#include <errno.h>
#include <glib.h>
#include <linux/virtio_config.h>
#include <linux/virtio_vsock.h>
#include <string.h>
#include <sys/socket.h>

#include "launcher/base/fd.h"
#include "launcher/base/log.h"
#include "launcher/vsock/vhost-user-protocol.h"

#define FEATURES                                                                                   \
    (1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_RING_F_EVENT_IDX |                                \
     1ull << VIRTIO_RING_F_INDIRECT_DESC | 1ull << HX_VHOST_F_PROTOCOL_FEATURES)
#define PROTOCOL_FEATURES                                                                          \
    (1ull << HX_VHOST_PROTOCOL_F_MQ | 1ull << HX_VHOST_PROTOCOL_F_REPLY_ACK |                      \
     1ull << HX_VHOST_PROTOCOL_F_CONFIG | 1ull << HX_VHOST_PROTOCOL_F_RESET_DEVICE)

/* The header is 12 bytes: the padding before it aligns the payload that follows it directly. */
typedef struct {
    uint32_t padding;
    HxVhostHeader header;
    HxVhostPayload payload;
} Message;
G_STATIC_ASSERT(offsetof(Message, payload) == offsetof(Message, header) + sizeof(HxVhostHeader));

struct HxVhostUser {
    HxEvents *events;
    int listen_fd;
    uint64_t guest_cid;
    void (*reset)(void *data);
    void *data;

    HxEventSource listener, connection, kick[HX_VSOCK_QUEUES];
    int fd;          /* the front end; -1 while there is none */
    Message message; /* what has arrived of the next message */
    size_t received; /* bytes of it, header included */
    int fds[HX_VHOST_FDS_MAX];
    unsigned n_fds;

    uint64_t features, protocol_features; /* as negotiated */
    HxGuestMemory memory;
    HxVirtqueue queues[HX_VSOCK_QUEUES];
    uint16_t stopped_at[HX_VSOCK_QUEUES]; /* what GET_VRING_BASE said last */
};

HxVirtqueue *hx_vhost_user_queue(HxVhostUser *vhost, unsigned index)
{
    return &vhost->queues[index];
}

/* --- queues ------------------------------------------------------------------------------------
 */

static unsigned queue_index(const HxVhostUser *vhost, const HxVirtqueue *queue)
{
    return queue - vhost->queues;
}

/* The queue a message means, or NULL. */
static HxVirtqueue *queue_of(HxVhostUser *vhost, uint64_t index)
{
    return index < HX_VSOCK_QUEUES ? &vhost->queues[index] : NULL;
}

static void kicked(HxEventSource *source, uint32_t events)
{
    /* The descriptor is watched edge-triggered and never read: each kick is an edge.  The round of
     * packets after the events looks into the rings. */
}

static void stop_queue(HxVhostUser *vhost, HxVirtqueue *queue)
{
    hx_events_remove(vhost->events, &vhost->kick[queue_index(vhost, queue)]);
    hx_close(&queue->kick_fd);
    hx_virtqueue_stop(queue);
}

static int start_queue(HxVhostUser *vhost, HxVirtqueue *queue, int kick_fd)
{
    unsigned index = queue_index(vhost, queue);
    bool restarted = queue->desc != NULL;
    hx_events_remove(vhost->events, &vhost->kick[index]);
    hx_close(&queue->kick_fd);
    queue->kick_fd = kick_fd;
    int r = hx_events_add(vhost->events, &vhost->kick[index], kick_fd, EPOLLIN | EPOLLET);
    if (r < 0 || restarted)
        return r;
    queue->event_idx = vhost->features >> VIRTIO_RING_F_EVENT_IDX & 1;
    queue->indirect = vhost->features >> VIRTIO_RING_F_INDIRECT_DESC & 1;
    if (!(vhost->features >> HX_VHOST_F_PROTOCOL_FEATURES & 1))
        queue->enabled = true;
    if (queue->last_avail != vhost->stopped_at[index]) {
        hx_log_info("the %s queue starts anew at %u", queue->name, queue->last_avail);
        vhost->reset(vhost->data);
    }
    return hx_virtqueue_start(queue);
}

static void reset_queue(HxVhostUser *vhost, HxVirtqueue *queue)
{
    stop_queue(vhost, queue);
    hx_close(&queue->call_fd);
    hx_close(&queue->error_fd);
    hx_virtqueue_init(queue, &vhost->memory,
                      queue_index(vhost, queue) == HX_VSOCK_RX ? "rx" : "tx");
    vhost->stopped_at[queue_index(vhost, queue)] = 0;
}

/* --- messages: 1 where a reply is in the message, 0 where not, or a negative errno ---------------
 */

static int take_fd(HxVhostUser *vhost)
{
    int fd = vhost->fds[0];
    vhost->fds[0] = -1;
    return fd;
}

static int reply_u64(Message *m, uint64_t value)
{
    m->payload.u64 = value;
    m->header.size = sizeof value;
    return 1;
}

static int get_features(HxVhostUser *vhost, Message *m)
{
    return reply_u64(m, FEATURES);
}

static int set_features(HxVhostUser *vhost, Message *m)
{
    if (m->payload.u64 & ~FEATURES)
        return -EINVAL;
    vhost->features = m->payload.u64;
    return 0;
}

static int nothing(HxVhostUser *vhost, Message *m)
{
    return 0;
}

static int set_mem_table(HxVhostUser *vhost, Message *m)
{
    const HxVhostMemory *table = &m->payload.memory;
    unsigned count = table->count;
    if (count > HX_VHOST_FDS_MAX || count != vhost->n_fds ||
        m->header.size < offsetof(HxVhostMemory, regions) + count * sizeof table->regions[0])
        return -EINVAL;
    HxRegionDescription regions[HX_VHOST_FDS_MAX];
    for (unsigned i = 0; i < count; i++)
        regions[i] = (HxRegionDescription){
            .guest_address = table->regions[i].guest_address,
            .size = table->regions[i].size,
            .user_address = table->regions[i].user_address,
            .file_offset = table->regions[i].file_offset,
        };
    int r = hx_guest_memory_map(&vhost->memory, regions, count, vhost->fds);
    for (unsigned i = 0; i < HX_VSOCK_QUEUES && r == 0; i++)
        if (vhost->queues[i].desc)
            r = hx_virtqueue_remap(&vhost->queues[i]);
    return r;
}

static int set_vring_num(HxVhostUser *vhost, Message *m)
{
    HxVirtqueue *queue = queue_of(vhost, m->payload.state.index);
    uint32_t size = m->payload.state.num;
    if (!queue || queue->desc || size == 0 || size > HX_VIRTQUEUE_SIZE_MAX || size & (size - 1))
        return -EINVAL;
    queue->size = size;
    return 0;
}

static int set_vring_addr(HxVhostUser *vhost, Message *m)
{
    const struct vhost_vring_addr *address = &m->payload.address;
    HxVirtqueue *queue = queue_of(vhost, address->index);
    if (!queue || address->flags)
        return -EINVAL; /* the one flag asks for a log of writes, which was not offered */
    queue->desc_address = address->desc_user_addr;
    queue->avail_address = address->avail_user_addr;
    queue->used_address = address->used_user_addr;
    return queue->desc ? hx_virtqueue_remap(queue) : 0;
}

static int set_vring_base(HxVhostUser *vhost, Message *m)
{
    HxVirtqueue *queue = queue_of(vhost, m->payload.state.index);
    if (!queue || queue->desc || m->payload.state.num > UINT16_MAX)
        return -EINVAL;
    queue->last_avail = m->payload.state.num;
    return 0;
}

static int get_vring_base(HxVhostUser *vhost, Message *m)
{
    unsigned index = m->payload.state.index;
    HxVirtqueue *queue = queue_of(vhost, index);
    if (!queue)
        return -EINVAL;
    stop_queue(vhost, queue);
    vhost->stopped_at[index] = queue->last_avail;
    m->payload.state.num = queue->last_avail;
    m->header.size = sizeof m->payload.state;
    return 1;
}

/* The descriptor that came along, non-blocking and now the caller's, or -1 where there is none. */
static int fd_of(HxVhostUser *vhost, Message *m, HxVirtqueue **ret_queue, int *ret_fd)
{
    uint64_t value = m->payload.u64;
    bool none = value & HX_VHOST_VRING_NO_FD;
    *ret_queue = queue_of(vhost, value & HX_VHOST_VRING_INDEX_MASK);
    if (!*ret_queue || value & ~(uint64_t)(HX_VHOST_VRING_INDEX_MASK | HX_VHOST_VRING_NO_FD) ||
        vhost->n_fds != !none)
        return -EINVAL;
    *ret_fd = none ? -1 : take_fd(vhost);
    return none ? 0 : hx_set_nonblocking(*ret_fd, true);
}

static int set_vring_kick(HxVhostUser *vhost, Message *m)
{
    HxVirtqueue *queue;
    hx_autofd int fd = -1;
    int r = fd_of(vhost, m, &queue, &fd);
    if (r < 0)
        return r;
    if (fd < 0)
        return -EOPNOTSUPP; /* a queue to be polled all the time */
    return start_queue(vhost, queue, hx_steal_fd(&fd));
}

static int set_vring_call(HxVhostUser *vhost, Message *m)
{
    HxVirtqueue *queue;
    hx_autofd int fd = -1;
    int r = fd_of(vhost, m, &queue, &fd);
    if (r < 0)
        return r;
    hx_close(&queue->call_fd);
    queue->call_fd = hx_steal_fd(&fd);
    return 0;
}

static int set_vring_err(HxVhostUser *vhost, Message *m)
{
    HxVirtqueue *queue;
    hx_autofd int fd = -1;
    int r = fd_of(vhost, m, &queue, &fd);
    if (r < 0)
        return r;
    hx_close(&queue->error_fd);
    queue->error_fd = hx_steal_fd(&fd);
    return 0;
}

static int set_vring_enable(HxVhostUser *vhost, Message *m)
{
    HxVirtqueue *queue = queue_of(vhost, m->payload.state.index);
    if (!queue || m->payload.state.num > 1)
        return -EINVAL;
    queue->enabled = m->payload.state.num;
    return 0;
}

static int get_protocol_features(HxVhostUser *vhost, Message *m)
{
    return reply_u64(m, PROTOCOL_FEATURES);
}

static int set_protocol_features(HxVhostUser *vhost, Message *m)
{
    if (m->payload.u64 & ~PROTOCOL_FEATURES)
        return -EINVAL;
    vhost->protocol_features = m->payload.u64;
    return 0;
}

static int get_queue_num(HxVhostUser *vhost, Message *m)
{
    return reply_u64(m, HX_VSOCK_QUEUES);
}

static int get_config(HxVhostUser *vhost, Message *m)
{
    struct virtio_vsock_config config = {.guest_cid = htole64(vhost->guest_cid)};
    HxVhostConfig *part = &m->payload.config;
    uint32_t size = part->size;
    if (size > HX_VHOST_CONFIG_MAX || part->offset > sizeof config ||
        size > sizeof config - part->offset ||
        m->header.size < offsetof(HxVhostConfig, data) + size)
        return -EINVAL;
    memcpy(part->data, (const char *)&config + part->offset, size);
    m->header.size = offsetof(HxVhostConfig, data) + size;
    return 1;
}

static int reset_device(HxVhostUser *vhost, Message *m)
{
    for (unsigned i = 0; i < HX_VSOCK_QUEUES; i++) {
        stop_queue(vhost, &vhost->queues[i]);
        vhost->queues[i].enabled = false;
        vhost->stopped_at[i] = vhost->queues[i].last_avail = 0;
    }
    vhost->reset(vhost->data);
    return 0;
}

static const struct {
    const char *name;
    int (*handle)(HxVhostUser *vhost, Message *m);
    uint32_t min_size, max_size; /* of the payload */
    unsigned max_fds;
} requests[HX_VHOST_REQUEST_END] = {
#define EXACTLY(type) sizeof(type), sizeof(type)
    [HX_VHOST_GET_FEATURES] = {"GET_FEATURES", get_features, 0, 0, 0},
    [HX_VHOST_SET_FEATURES] = {"SET_FEATURES", set_features, EXACTLY(uint64_t), 0},
    [HX_VHOST_SET_OWNER] = {"SET_OWNER", nothing, 0, 0, 0},
    [HX_VHOST_RESET_OWNER] = {"RESET_OWNER", nothing, 0, 0, 0},
    [HX_VHOST_SET_MEM_TABLE] = {"SET_MEM_TABLE", set_mem_table, offsetof(HxVhostMemory, regions),
                                sizeof(HxVhostMemory), HX_VHOST_FDS_MAX},
    [HX_VHOST_SET_VRING_NUM] = {"SET_VRING_NUM", set_vring_num, EXACTLY(struct vhost_vring_state),
                                0},
    [HX_VHOST_SET_VRING_ADDR] = {"SET_VRING_ADDR", set_vring_addr, EXACTLY(struct vhost_vring_addr),
                                 0},
    [HX_VHOST_SET_VRING_BASE] = {"SET_VRING_BASE", set_vring_base,
                                 EXACTLY(struct vhost_vring_state), 0},
    [HX_VHOST_GET_VRING_BASE] = {"GET_VRING_BASE", get_vring_base,
                                 EXACTLY(struct vhost_vring_state), 0},
    [HX_VHOST_SET_VRING_KICK] = {"SET_VRING_KICK", set_vring_kick, EXACTLY(uint64_t), 1},
    [HX_VHOST_SET_VRING_CALL] = {"SET_VRING_CALL", set_vring_call, EXACTLY(uint64_t), 1},
    [HX_VHOST_SET_VRING_ERR] = {"SET_VRING_ERR", set_vring_err, EXACTLY(uint64_t), 1},
    [HX_VHOST_GET_PROTOCOL_FEATURES] = {"GET_PROTOCOL_FEATURES", get_protocol_features, 0, 0, 0},
    [HX_VHOST_SET_PROTOCOL_FEATURES] = {"SET_PROTOCOL_FEATURES", set_protocol_features,
                                        EXACTLY(uint64_t), 0},
    [HX_VHOST_GET_QUEUE_NUM] = {"GET_QUEUE_NUM", get_queue_num, 0, 0, 0},
    [HX_VHOST_SET_VRING_ENABLE] = {"SET_VRING_ENABLE", set_vring_enable,
                                   EXACTLY(struct vhost_vring_state), 0},
    [HX_VHOST_GET_CONFIG] = {"GET_CONFIG", get_config, offsetof(HxVhostConfig, data),
                             sizeof(HxVhostConfig), 0},
    /* The CID is read-only: what a guest writes there is ignored, as virtio 1.2, 2.5.2 allows. */
    [HX_VHOST_SET_CONFIG] = {"SET_CONFIG", nothing, offsetof(HxVhostConfig, data),
                             sizeof(HxVhostConfig), 0},
    [HX_VHOST_RESET_DEVICE] = {"RESET_DEVICE", reset_device, 0, 0, 0},
};

static const char *request_name(uint32_t request)
{
    return request < HX_VHOST_REQUEST_END && requests[request].name ? requests[request].name
                                                                    : "an unknown request";
}

static int send_reply(HxVhostUser *vhost, Message *m)
{
    m->header.flags = HX_VHOST_VERSION | HX_VHOST_REPLY;
    size_t size = sizeof m->header + m->header.size;
    /* A front end that does not read its few bytes of replies is not waited for. */
    ssize_t n = send(vhost->fd, &m->header, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0)
        return -errno;
    return (size_t)n == size ? 0 : -EMSGSIZE;
}

static int handle_message(HxVhostUser *vhost)
{
    Message *m = &vhost->message;
    bool acknowledge = m->header.flags & HX_VHOST_NEED_REPLY &&
                       vhost->protocol_features >> HX_VHOST_PROTOCOL_F_REPLY_ACK & 1;
    if (vhost->n_fds > requests[m->header.request].max_fds)
        return -EINVAL;
    int r = requests[m->header.request].handle(vhost, m);
    if (r < 0)
        return r;
    if (r == 0 && !acknowledge)
        return 0;
    if (r == 0)
        reply_u64(m, 0);
    return send_reply(vhost, m);
}

/* --- the connection ------------------------------------------------------------------------------
 */

static void close_fds(HxVhostUser *vhost)
{
    for (unsigned i = 0; i < vhost->n_fds; i++)
        hx_close(&vhost->fds[i]);
    vhost->n_fds = 0;
}

static int receive(HxVhostUser *vhost, size_t wanted)
{
    union {
        struct cmsghdr align;
        char buffer[CMSG_SPACE(sizeof(int) * HX_VHOST_FDS_MAX)];
    } control;
    struct iovec iov = {(char *)&vhost->message.header + vhost->received, wanted - vhost->received};
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof control,
    };
    ssize_t n = recvmsg(vhost->fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (n < 0)
        return -errno;
    bool too_many = msg.msg_flags & MSG_CTRUNC;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        unsigned count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (unsigned i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            if (vhost->n_fds < HX_VHOST_FDS_MAX) {
                vhost->fds[vhost->n_fds++] = fd;
            } else {
                close(fd);
                too_many = true;
            }
        }
    }
    if (too_many)
        return -E2BIG;
    if (n == 0)
        return -ENODATA;
    vhost->received += n;
    return 0;
}

static int check_header(const HxVhostHeader *header)
{
    if ((header->flags & HX_VHOST_VERSION_MASK) != HX_VHOST_VERSION ||
        header->flags & HX_VHOST_REPLY)
        return -EPROTO;
    if (header->request >= HX_VHOST_REQUEST_END || !requests[header->request].handle)
        return -EOPNOTSUPP;
    if (header->size < requests[header->request].min_size ||
        header->size > requests[header->request].max_size)
        return -EMSGSIZE;
    return 0;
}

static void disconnect(HxVhostUser *vhost)
{
    hx_events_remove(vhost->events, &vhost->connection);
    hx_close(&vhost->fd);
    close_fds(vhost);
    vhost->received = 0;
    vhost->features = vhost->protocol_features = 0;
    for (unsigned i = 0; i < HX_VSOCK_QUEUES; i++)
        reset_queue(vhost, &vhost->queues[i]);
    hx_guest_memory_clear(&vhost->memory);
    vhost->reset(vhost->data);
    int r = hx_events_add(vhost->events, &vhost->listener, vhost->listen_fd, EPOLLIN);
    if (r < 0)
        hx_log_error("cannot wait for the next front end: %s", g_strerror(-r));
}

static void connection_ready(HxEventSource *source, uint32_t events)
{
    HxVhostUser *vhost = HX_CONTAINER_OF(source, HxVhostUser, connection);
    HxVhostHeader *header = &vhost->message.header;
    for (;;) {
        int r = 0;
        size_t wanted = sizeof *header;
        if (vhost->received >= sizeof *header) {
            r = check_header(header);
            wanted += header->size;
        }
        if (r == 0 && vhost->received < wanted) {
            r = receive(vhost, wanted);
            if (r == 0)
                continue;
        }
        if (r == -EAGAIN || r == -EINTR)
            return;
        if (r == -ENODATA && vhost->received == 0) {
            hx_log_info("the front end disconnected");
            disconnect(vhost);
            return;
        }
        if (r == 0)
            r = handle_message(vhost);
        if (r < 0) {
            hx_log_error("the front end is dropped: %s (request %u, %u bytes, %u descriptors): %s",
                         request_name(header->request), header->request, header->size, vhost->n_fds,
                         g_strerror(-r));
            disconnect(vhost);
            return;
        }
        close_fds(vhost);
        vhost->received = 0;
        vhost->message = (Message){0};
    }
}

static void listener_ready(HxEventSource *source, uint32_t events)
{
    HxVhostUser *vhost = HX_CONTAINER_OF(source, HxVhostUser, listener);
    hx_autofd int fd = accept4(vhost->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return;
    int r = hx_events_add(vhost->events, &vhost->connection, fd, EPOLLIN);
    if (r < 0) {
        hx_log_error("cannot serve a front end: %s", g_strerror(-r));
        return;
    }
    hx_log_info("a front end connected");
    vhost->fd = hx_steal_fd(&fd);
    vhost->message = (Message){0};
    /* The next one waits in the backlog until this one is gone. */
    hx_events_remove(vhost->events, &vhost->listener);
}

HxVhostUser *hx_vhost_user_new(HxEvents *events, int listen_fd, uint64_t guest_cid,
                               void (*reset)(void *data), void *data, int *ret_error)
{
    HxVhostUser *vhost = g_new0(HxVhostUser, 1);
    *vhost = (HxVhostUser){
        .events = events,
        .listen_fd = listen_fd,
        .guest_cid = guest_cid,
        .reset = reset,
        .data = data,
        .fd = -1,
        .listener.ready = listener_ready,
        .connection.ready = connection_ready,
    };
    for (unsigned i = 0; i < HX_VSOCK_QUEUES; i++) {
        vhost->kick[i].ready = kicked;
        hx_virtqueue_init(&vhost->queues[i], &vhost->memory, i == HX_VSOCK_RX ? "rx" : "tx");
    }
    *ret_error = hx_events_add(events, &vhost->listener, listen_fd, EPOLLIN);
    if (*ret_error < 0)
        g_clear_pointer(&vhost, hx_vhost_user_free);
    return vhost;
}

void hx_vhost_user_free(HxVhostUser *vhost)
{
    if (!vhost)
        return;
    hx_events_remove(vhost->events, &vhost->listener);
    hx_events_remove(vhost->events, &vhost->connection);
    hx_close(&vhost->fd);
    close_fds(vhost);
    for (unsigned i = 0; i < HX_VSOCK_QUEUES; i++)
        reset_queue(vhost, &vhost->queues[i]);
    hx_guest_memory_clear(&vhost->memory);
    g_free(vhost);
}
