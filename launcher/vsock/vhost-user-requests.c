/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the front end asks for, each request to its end ("Vhost-user Protocol", "Front-end message
 * types"). */
#include <endian.h>
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_vsock.h>
#include <string.h>

#include "launcher/base/fd.h"
#include "launcher/base/log.h"
#include "launcher/vsock/event-descriptor.h"
#include "launcher/vsock/vhost-user-private.h"

#define FEATURES                                                                                   \
    (1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_RING_F_EVENT_IDX |                                \
     1ull << VIRTIO_RING_F_INDIRECT_DESC | 1ull << HX_VHOST_F_PROTOCOL_FEATURES |                  \
     1ull << VIRTIO_VSOCK_F_SEQPACKET)
#define PROTOCOL_FEATURES                                                                          \
    (1ull << HX_VHOST_PROTOCOL_F_MQ | 1ull << HX_VHOST_PROTOCOL_F_REPLY_ACK |                      \
     1ull << HX_VHOST_PROTOCOL_F_CONFIG | 1ull << HX_VHOST_PROTOCOL_F_RESET_DEVICE)

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
    if (vhost->restoring)
        return hx_virtqueue_recover(queue);
    if (queue->last_avail != vhost->stopped_at[index]) {
        hx_log_info("the %s queue starts anew at %u", queue->name, queue->last_avail);
        vhost->reset(vhost->data);
    }
    return hx_virtqueue_start(queue);
}

void hx_vhost_init_queue(HxVhostUser *vhost, unsigned index)
{
    vhost->kick[index].ready = kicked;
    vhost->stopped_at[index] = 0;
    hx_virtqueue_init(&vhost->queues[index], &vhost->memory, index == HX_VSOCK_RX ? "rx" : "tx");
}

void hx_vhost_reset_queue(HxVhostUser *vhost, unsigned index)
{
    HxVirtqueue *queue = &vhost->queues[index];
    stop_queue(vhost, queue);
    hx_close(&queue->call_fd);
    hx_close(&queue->error_fd);
    hx_vhost_init_queue(vhost, index);
}

/* --- messages: 1 where a reply is in the message, 0 where not, or a negative errno ---------------
 */

static int take_fd(HxVhostUser *vhost)
{
    int fd = vhost->fds[0];
    vhost->fds[0] = -1;
    return fd;
}

static int reply_u64(HxVhostMessage *m, uint64_t value)
{
    m->payload.u64 = value;
    m->header.size = sizeof value;
    return 1;
}

static int get_features(HxVhostUser *vhost, HxVhostMessage *m)
{
    return reply_u64(m, FEATURES);
}

static int set_features(HxVhostUser *vhost, HxVhostMessage *m)
{
    if (m->payload.u64 & ~FEATURES)
        return -EINVAL;
    vhost->features = m->payload.u64;
    return 0;
}

static int nothing(HxVhostUser *vhost, HxVhostMessage *m)
{
    return 0;
}

static int set_mem_table(HxVhostUser *vhost, HxVhostMessage *m)
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
    for (unsigned i = 0; i < HX_VSOCK_QUEUES && r < 0; i++)
        hx_virtqueue_stop(&vhost->queues[i]); /* its rings may be in memory that is gone */
    return r;
}

static int set_vring_num(HxVhostUser *vhost, HxVhostMessage *m)
{
    HxVirtqueue *queue = queue_of(vhost, m->payload.state.index);
    uint32_t size = m->payload.state.num;
    if (!queue || queue->desc || size == 0 || size > HX_VIRTQUEUE_SIZE_MAX || size & (size - 1))
        return -EINVAL;
    queue->size = size;
    return 0;
}

static int set_vring_addr(HxVhostUser *vhost, HxVhostMessage *m)
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

static int set_vring_base(HxVhostUser *vhost, HxVhostMessage *m)
{
    HxVirtqueue *queue = queue_of(vhost, m->payload.state.index);
    if (!queue || queue->desc || m->payload.state.num > UINT16_MAX)
        return -EINVAL;
    queue->last_avail = m->payload.state.num;
    if (vhost->restoring)
        vhost->stopped_at[m->payload.state.index] = queue->last_avail;
    return 0;
}

static int get_vring_base(HxVhostUser *vhost, HxVhostMessage *m)
{
    unsigned index = m->payload.state.index;
    HxVirtqueue *queue = queue_of(vhost, index);
    if (!queue)
        return -EINVAL;
    hx_virtqueue_flush(queue);
    stop_queue(vhost, queue);
    vhost->stopped_at[index] = queue->last_avail;
    m->payload.state.num = queue->last_avail;
    m->header.size = sizeof m->payload.state;
    hx_session_forget(vhost->session, HX_VHOST_SET_VRING_KICK, index);
    hx_session_keep(vhost->session, HX_VHOST_SET_VRING_BASE, index, &m->payload.state,
                    sizeof m->payload.state, NULL, 0);
    return 1;
}

/* The descriptor that came along, non-blocking and now the caller's, or -1 where there is none. */
static int fd_of(HxVhostUser *vhost, HxVhostMessage *m, HxVirtqueue **ret_queue, int *ret_fd)
{
    uint64_t value = m->payload.u64;
    bool none = value & HX_VHOST_VRING_NO_FD;
    *ret_queue = queue_of(vhost, value & HX_VHOST_VRING_INDEX_MASK);
    if (!*ret_queue || value & ~(uint64_t)(HX_VHOST_VRING_INDEX_MASK | HX_VHOST_VRING_NO_FD) ||
        vhost->n_fds != !none)
        return -EINVAL;
    *ret_fd = none ? -1 : take_fd(vhost);
    return none ? 0 : hx_event_descriptor_check(*ret_fd);
}

static int set_vring_kick(HxVhostUser *vhost, HxVhostMessage *m)
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

static int set_vring_call(HxVhostUser *vhost, HxVhostMessage *m)
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

static int set_vring_err(HxVhostUser *vhost, HxVhostMessage *m)
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

static int set_vring_enable(HxVhostUser *vhost, HxVhostMessage *m)
{
    HxVirtqueue *queue = queue_of(vhost, m->payload.state.index);
    if (!queue || m->payload.state.num > 1)
        return -EINVAL;
    queue->enabled = m->payload.state.num;
    return 0;
}

static int get_protocol_features(HxVhostUser *vhost, HxVhostMessage *m)
{
    return reply_u64(m, PROTOCOL_FEATURES);
}

static int set_protocol_features(HxVhostUser *vhost, HxVhostMessage *m)
{
    if (m->payload.u64 & ~PROTOCOL_FEATURES)
        return -EINVAL;
    vhost->protocol_features = m->payload.u64;
    return 0;
}

static int get_queue_num(HxVhostUser *vhost, HxVhostMessage *m)
{
    return reply_u64(m, HX_VSOCK_QUEUES);
}

static int get_config(HxVhostUser *vhost, HxVhostMessage *m)
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

static int reset_device(HxVhostUser *vhost, HxVhostMessage *m)
{
    for (unsigned i = 0; i < HX_VSOCK_QUEUES; i++) {
        stop_queue(vhost, &vhost->queues[i]);
        vhost->queues[i].enabled = false;
        vhost->stopped_at[i] = vhost->queues[i].last_avail = 0;
        hx_session_forget(vhost->session, HX_VHOST_SET_VRING_KICK, i);
        hx_session_forget(vhost->session, HX_VHOST_SET_VRING_BASE, i);
        hx_session_forget(vhost->session, HX_VHOST_SET_VRING_ENABLE, i);
    }
    vhost->reset(vhost->data);
    return 0;
}

const HxVhostRequest hx_vhost_requests[HX_VHOST_REQUEST_END] = {
#define EXACTLY(type) sizeof(type), sizeof(type)
    [HX_VHOST_GET_FEATURES] = {"GET_FEATURES", get_features, 0, 0, 0},
    [HX_VHOST_SET_FEATURES] = {"SET_FEATURES", set_features, EXACTLY(uint64_t), 0, HX_VHOST_KEPT},
    [HX_VHOST_SET_OWNER] = {"SET_OWNER", nothing, 0, 0, 0},
    [HX_VHOST_RESET_OWNER] = {"RESET_OWNER", nothing, 0, 0, 0},
    [HX_VHOST_SET_MEM_TABLE] = {"SET_MEM_TABLE", set_mem_table, offsetof(HxVhostMemory, regions),
                                sizeof(HxVhostMemory), HX_VHOST_FDS_MAX, HX_VHOST_KEPT},
    [HX_VHOST_SET_VRING_NUM] = {"SET_VRING_NUM", set_vring_num, EXACTLY(struct vhost_vring_state),
                                0, HX_VHOST_KEPT_BY_INDEX},
    [HX_VHOST_SET_VRING_ADDR] = {"SET_VRING_ADDR", set_vring_addr, EXACTLY(struct vhost_vring_addr),
                                 0, HX_VHOST_KEPT_BY_INDEX},
    [HX_VHOST_SET_VRING_BASE] = {"SET_VRING_BASE", set_vring_base,
                                 EXACTLY(struct vhost_vring_state), 0, HX_VHOST_KEPT_BY_INDEX},
    [HX_VHOST_GET_VRING_BASE] = {"GET_VRING_BASE", get_vring_base,
                                 EXACTLY(struct vhost_vring_state), 0},
    [HX_VHOST_SET_VRING_KICK] = {"SET_VRING_KICK", set_vring_kick, EXACTLY(uint64_t), 1,
                                 HX_VHOST_KEPT_BY_VALUE},
    [HX_VHOST_SET_VRING_CALL] = {"SET_VRING_CALL", set_vring_call, EXACTLY(uint64_t), 1,
                                 HX_VHOST_KEPT_BY_VALUE},
    [HX_VHOST_SET_VRING_ERR] = {"SET_VRING_ERR", set_vring_err, EXACTLY(uint64_t), 1,
                                HX_VHOST_KEPT_BY_VALUE},
    [HX_VHOST_GET_PROTOCOL_FEATURES] = {"GET_PROTOCOL_FEATURES", get_protocol_features, 0, 0, 0},
    [HX_VHOST_SET_PROTOCOL_FEATURES] = {"SET_PROTOCOL_FEATURES", set_protocol_features,
                                        EXACTLY(uint64_t), 0, HX_VHOST_KEPT},
    [HX_VHOST_GET_QUEUE_NUM] = {"GET_QUEUE_NUM", get_queue_num, 0, 0, 0},
    [HX_VHOST_SET_VRING_ENABLE] = {"SET_VRING_ENABLE", set_vring_enable,
                                   EXACTLY(struct vhost_vring_state), 0, HX_VHOST_KEPT_BY_INDEX},
    [HX_VHOST_GET_CONFIG] = {"GET_CONFIG", get_config, offsetof(HxVhostConfig, data),
                             sizeof(HxVhostConfig), 0},
    /* The CID is read-only: what a guest writes there is ignored, as virtio 1.2, 2.5.2 allows. */
    [HX_VHOST_SET_CONFIG] = {"SET_CONFIG", nothing, offsetof(HxVhostConfig, data),
                             sizeof(HxVhostConfig), 0},
    [HX_VHOST_RESET_DEVICE] = {"RESET_DEVICE", reset_device, 0, 0, 0},
};
