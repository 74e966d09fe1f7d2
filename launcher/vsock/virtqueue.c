/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Theory of operation
 *
 * The rings are shared with a driver that may be hostile and that writes while we read.  Each field
 * is therefore read once, into a local, and checked there.  Two free-running 16-bit counters per
 * ring, masked by the power-of-two size, say all there is: last_avail (ours) chases avail->idx (the
 * driver's), and used->idx (ours) is published in batches, by one store and at most one interrupt
 * for all chains of a round.
 *
 * Every chain that is popped is pushed or unpopped before the round ends, in the same order.  So
 * nothing is in flight when the queue stops, and where the used ring ends is where the next one to
 * be taken is: the ring's own indices are the whole state, and a back end that is killed and
 * started anew needs no in-flight record (VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD).
 */
#include "launcher/vsock/virtqueue.h"

#include <endian.h>
#include <errno.h>
#include <glib.h>

#include "launcher/base/log.h"
#include "launcher/vsock/event-descriptor.h"

/* Each of the driver's fields goes through these, once. */
#define LOAD(field) __atomic_load_n(&(field), __ATOMIC_RELAXED)
#define LOAD_ACQUIRE(field) __atomic_load_n(&(field), __ATOMIC_ACQUIRE)
#define STORE(field, value) __atomic_store_n(&(field), value, __ATOMIC_RELAXED)
#define STORE_RELEASE(field, value) __atomic_store_n(&(field), value, __ATOMIC_RELEASE)
#define FULL_BARRIER() __atomic_thread_fence(__ATOMIC_SEQ_CST)

/* The field behind the used ring's last entry (2.7.8); vring_avail_event() would alias types. */
static uint16_t *avail_event(HxVirtqueue *queue)
{
    return (uint16_t *)(void *)&queue->used->ring[queue->size];
}

void hx_virtqueue_init(HxVirtqueue *queue, const HxGuestMemory *memory, const char *name)
{
    *queue =
        (HxVirtqueue){.memory = memory, .name = name, .kick_fd = -1, .call_fd = -1, .error_fd = -1};
}

int hx_virtqueue_remap(HxVirtqueue *queue)
{
    size_t size = queue->size;
    /* Both rings have an event index behind their last entry; it is there without the feature too,
     * as a driver aligns and pads them the same way. */
    struct vring_desc *desc =
        hx_guest_memory_from_user(queue->memory, queue->desc_address, size * sizeof *desc);
    struct vring_avail *avail = hx_guest_memory_from_user(
        queue->memory, queue->avail_address, sizeof *avail + (size + 1) * sizeof(uint16_t));
    struct vring_used *used = hx_guest_memory_from_user(
        queue->memory, queue->used_address,
        sizeof *used + size * sizeof(struct vring_used_elem) + sizeof(uint16_t));
    if (size == 0 || !desc || !avail || !used || (uintptr_t)desc % VRING_DESC_ALIGN_SIZE ||
        (uintptr_t)avail % VRING_AVAIL_ALIGN_SIZE || (uintptr_t)used % VRING_USED_ALIGN_SIZE) {
        hx_virtqueue_stop(queue);
        return -EFAULT;
    }
    queue->desc = desc;
    queue->avail = avail;
    queue->used = used;
    return 0;
}

int hx_virtqueue_start(HxVirtqueue *queue)
{
    queue->broken = false;
    int r = hx_virtqueue_remap(queue);
    if (r < 0)
        return r;
    queue->avail_seen = queue->last_avail;
    queue->used_next = queue->used_told = le16toh(LOAD(queue->used->idx));
    queue->used_told_valid = false;
    return 0;
}

int hx_virtqueue_recover(HxVirtqueue *queue)
{
    int r = hx_virtqueue_start(queue);
    if (r < 0)
        return r;
    queue->last_avail = queue->avail_seen = queue->used_next;
    hx_event_descriptor_signal(queue->call_fd);
    return 0;
}

void hx_virtqueue_stop(HxVirtqueue *queue)
{
    queue->broken = false;
    queue->desc = NULL;
    queue->avail = NULL;
    queue->used = NULL;
}

void hx_virtqueue_break(HxVirtqueue *queue, const char *reason)
{
    if (queue->broken || !queue->desc)
        return;
    queue->broken = true;
    hx_log_error("the guest's driver broke the %s queue: %s; the device stops until its next reset",
                 queue->name, reason);
    hx_event_descriptor_signal(queue->error_fd);
}

/* The table that an indirect descriptor stands for (2.7.5.3), or NULL with the queue broken. */
static const struct vring_desc *indirect_table(HxVirtqueue *queue, uint64_t address,
                                               uint32_t length, uint16_t flags, unsigned *ret_size)
{
    struct iovec table;
    const char *reason = NULL;
    if (!queue->indirect)
        reason = "an indirect descriptor without the feature";
    else if (flags & (VRING_DESC_F_NEXT | VRING_DESC_F_WRITE))
        reason = "an indirect descriptor with other flags";
    else if (length == 0 || length % sizeof(struct vring_desc) ||
             length / sizeof(struct vring_desc) > HX_VIRTQUEUE_SIZE_MAX)
        reason = "an indirect table of impossible size";
    else if (hx_guest_memory_translate(queue->memory, address, length, &table, 1) != 1)
        reason = "an indirect table outside guest memory";
    else if ((uintptr_t)table.iov_base % sizeof(uint64_t))
        reason = "an indirect table that is not aligned";
    if (reason) {
        hx_virtqueue_break(queue, reason);
        return NULL;
    }
    *ret_size = length / sizeof(struct vring_desc);
    return table.iov_base;
}

/* Append one buffer.  Returns 0, -ENOBUFS, or -EPROTO with the queue broken. */
static int add_buffer(HxVirtqueue *queue, uint64_t address, uint32_t length, bool writable,
                      struct iovec *iov, unsigned max, HxChain *chain)
{
    if (!writable && chain->n_writable > 0) {
        hx_virtqueue_break(queue, "a readable descriptor behind a writable one");
        return -EPROTO;
    }
    unsigned used = chain->n_readable + chain->n_writable;
    int n = hx_guest_memory_translate(queue->memory, address, length, iov + used, max - used);
    if (n == -ENOBUFS)
        return n;
    if (n < 0) {
        hx_virtqueue_break(queue, "a descriptor outside guest memory");
        return -EPROTO;
    }
    *(writable ? &chain->n_writable : &chain->n_readable) += n;
    *(writable ? &chain->writable : &chain->readable) += length;
    return 0;
}

static int walk_chain(HxVirtqueue *queue, uint16_t head, struct iovec *iov, unsigned max,
                      HxChain *chain)
{
    const struct vring_desc *table = queue->desc;
    unsigned table_size = queue->size, index = head;
    /* The table may be the ring's own: where it lies does not tell whether it is an indirect one.
     */
    bool is_indirect = false;
    /* A chain cannot have more links than its table; the count starts again in an indirect one. */
    for (unsigned links = 0;; links++) {
        if (index >= table_size || links >= table_size) {
            hx_virtqueue_break(queue, index >= table_size ? "a descriptor index beyond the table"
                                                          : "a descriptor chain that is a loop");
            return -EPROTO;
        }
        uint64_t address = le64toh(LOAD(table[index].addr));
        uint32_t length = le32toh(LOAD(table[index].len));
        uint16_t flags = le16toh(LOAD(table[index].flags));
        unsigned next = le16toh(LOAD(table[index].next));
        if (flags & VRING_DESC_F_INDIRECT) {
            if (is_indirect) {
                hx_virtqueue_break(queue, "an indirect descriptor within an indirect table");
                return -EPROTO;
            }
            table = indirect_table(queue, address, length, flags, &table_size);
            if (!table)
                return -EPROTO;
            is_indirect = true;
            index = 0;
            links = -1;
            continue;
        }
        int r = add_buffer(queue, address, length, flags & VRING_DESC_F_WRITE, iov, max, chain);
        if (r < 0)
            return r;
        if (!(flags & VRING_DESC_F_NEXT))
            return 0;
        index = next;
    }
}

int hx_virtqueue_pop(HxVirtqueue *queue, struct iovec *iov, unsigned max, HxChain *ret_chain)
{
    if (!hx_virtqueue_usable(queue))
        return 0;
    if (queue->last_avail == queue->avail_seen) {
        uint16_t index = le16toh(LOAD_ACQUIRE(queue->avail->idx));
        if ((uint16_t)(index - queue->last_avail) > queue->size) {
            hx_virtqueue_break(queue, "an available index beyond the ring");
            return -EPROTO;
        }
        queue->avail_seen = index;
        if (queue->last_avail == index)
            return 0;
    }
    *ret_chain =
        (HxChain){.head = le16toh(LOAD(queue->avail->ring[queue->last_avail & (queue->size - 1)]))};
    int r = walk_chain(queue, ret_chain->head, iov, max, ret_chain);
    if (r < 0)
        return r;
    queue->last_avail++;
    return 1;
}

void hx_virtqueue_unpop(HxVirtqueue *queue, unsigned count)
{
    queue->last_avail -= count;
}

void hx_virtqueue_push(HxVirtqueue *queue, uint16_t head, uint32_t written)
{
    struct vring_used_elem *element = &queue->used->ring[queue->used_next & (queue->size - 1)];
    STORE(element->id, htole32(head));
    STORE(element->len, htole32(written));
    queue->used_next++;
}

void hx_virtqueue_flush(HxVirtqueue *queue)
{
    if (!queue->used || queue->used_next == queue->used_told)
        return;
    uint16_t old = queue->used_told, new = queue->used_next;
    STORE_RELEASE(queue->used->idx, htole16(new));
    queue->used_told = new;
    FULL_BARRIER(); /* the driver writes its wish, then reads the index; we the other way round */
    bool wanted;
    if (queue->event_idx) {
        uint16_t event = le16toh(LOAD(queue->avail->ring[queue->size]));
        wanted = !queue->used_told_valid || vring_need_event(event, new, old);
        queue->used_told_valid = true;
    } else {
        wanted = !(le16toh(LOAD(queue->avail->flags)) & VRING_AVAIL_F_NO_INTERRUPT);
    }
    if (wanted)
        hx_event_descriptor_signal(queue->call_fd);
}

void hx_virtqueue_disable_kick(HxVirtqueue *queue)
{
    /* With event indices the old one, which is behind, does it. */
    if (hx_virtqueue_usable(queue) && !queue->event_idx)
        STORE(queue->used->flags, htole16(VRING_USED_F_NO_NOTIFY));
}

bool hx_virtqueue_enable_kick(HxVirtqueue *queue)
{
    if (!hx_virtqueue_usable(queue))
        return false;
    if (queue->event_idx)
        STORE(*avail_event(queue), htole16(queue->last_avail));
    else
        STORE(queue->used->flags, 0);
    FULL_BARRIER();
    return le16toh(LOAD(queue->avail->idx)) != queue->last_avail;
}
