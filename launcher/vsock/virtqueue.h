/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The device side of a split virtqueue in shared memory (virtio 1.2, 2.7). */
#pragma once

#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "launcher/vsock/guest-memory.h"

/* More than any driver of this device uses; also the largest descriptor table and chain. */
#define HX_VIRTQUEUE_SIZE_MAX 1024

/* One epoll thread uses a queue; nothing here locks.  The fields are set by vhost-user.c. */
typedef struct {
    const HxGuestMemory *memory;
    const char *name; /* for the log */
    unsigned size;    /* entries, a power of two; 0 before SET_VRING_NUM */
    uint64_t desc_address, avail_address, used_address; /* the front end's virtual addresses */
    struct vring_desc *desc;                            /* the same, mapped; NULL while stopped */
    struct vring_avail *avail;
    struct vring_used *used;
    int kick_fd, call_fd, error_fd; /* owned; -1 where there is none */
    bool enabled, event_idx, indirect;
    bool broken; /* the driver broke the rules: not touched again before it is started anew */

    uint16_t last_avail; /* the next entry of the available ring to take */
    uint16_t avail_seen; /* its index as last read */
    uint16_t used_next;  /* the next entry of the used ring to write */
    uint16_t used_told;  /* its index as last published */
    bool used_told_valid;
} HxVirtqueue;

/* A descriptor chain: what the device may read comes first in the iovec array, then what it may
 * write. */
typedef struct {
    uint16_t head;
    unsigned n_readable, n_writable; /* iovec entries */
    size_t readable, writable;       /* bytes */
} HxChain;

void hx_virtqueue_init(HxVirtqueue *queue, const HxGuestMemory *memory, const char *name);

/* Find the rings in memory and begin at `last_avail`.  Returns 0 or -EFAULT. */
int hx_virtqueue_start(HxVirtqueue *queue);

/* Begin where the used ring ends, after a process that was killed: what it had taken and not given
 * back is taken again.  The driver is interrupted, which that process may have owed it.  Returns 0
 * or -EFAULT. */
int hx_virtqueue_recover(HxVirtqueue *queue);

/* As before, after the memory was mapped anew.  Returns 0 or -EFAULT. */
int hx_virtqueue_remap(HxVirtqueue *queue);

/* Forget the rings; `last_avail` stays.  A stopped queue is not broken. */
void hx_virtqueue_stop(HxVirtqueue *queue);

/* Started, enabled and not broken. */
static inline bool hx_virtqueue_usable(const HxVirtqueue *queue)
{
    return queue->desc && queue->enabled && !queue->broken;
}

/* Log @reason and leave the rings alone until they are stopped.  Nothing where they are. */
void hx_virtqueue_break(HxVirtqueue *queue, const char *reason);

/* Take the next chain.  Returns 1 with @ret_chain and its entries in @iov; 0 where the driver has
 * offered no more; -ENOBUFS, the chain not taken, where it needs more than @max entries; -EPROTO
 * where the driver broke the rules, and the queue is then broken and the reason logged. */
int hx_virtqueue_pop(HxVirtqueue *queue, struct iovec *iov, unsigned max, HxChain *ret_chain);

/* Give back the last @count chains popped, unused. */
void hx_virtqueue_unpop(HxVirtqueue *queue, unsigned count);

/* Put a chain into the used ring, in the order that they were taken, with @written bytes in its
 * writable part.  The driver sees it with the next flush. */
void hx_virtqueue_push(HxVirtqueue *queue, uint16_t head, uint32_t written);

/* How many chains were pushed and not published yet. */
static inline unsigned hx_virtqueue_unpublished(const HxVirtqueue *queue)
{
    return (uint16_t)(queue->used_next - queue->used_told);
}

/* Publish what was pushed, and interrupt the driver where it wants that (2.7.7, 2.7.10). */
void hx_virtqueue_flush(HxVirtqueue *queue);

/* Ask the driver for no kicks while there is work. */
void hx_virtqueue_disable_kick(HxVirtqueue *queue);

/* Ask for a kick with the next chain.  Returns true where one has come in between: kicks may then
 * stay away, and the caller goes on. */
bool hx_virtqueue_enable_kick(HxVirtqueue *queue);
