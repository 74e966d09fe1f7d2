/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The guest's memory as the front end shares it, and the translation of its addresses. */
#pragma once

#include <signal.h>
#include <stdint.h>
#include <sys/uio.h>

/* VHOST_MEMORY_BASELINE_NREGIONS: as many as a SET_MEM_TABLE message holds. */
#define HX_GUEST_MEMORY_REGIONS 8

/* As in the vhost-user message, "A memory region" in QEMU's vhost-user document; bytes. */
typedef struct {
    uint64_t guest_address;
    uint64_t size;
    uint64_t user_address;
    uint64_t file_offset;
} HxRegionDescription;

typedef struct {
    uint64_t guest_address, user_address, size;
    uint8_t *host; /* where its first byte is mapped here */
    void *mapping;
    size_t mapping_size;
} HxRegion;

typedef struct {
    HxRegion regions[HX_GUEST_MEMORY_REGIONS];
    unsigned count;
    volatile sig_atomic_t lost; /* the front end has shortened the file behind a region */
} HxGuestMemory;

/* From now on SIGBUS within @memory does not end the process: the region becomes zeros of its own,
 * and @memory lost until it is mapped anew or cleared.  One HxGuestMemory of a process at a time,
 * which outlives all access; the handler stays.  Returns 0 or a negative errno. */
int hx_guest_memory_survive(HxGuestMemory *memory);

/* Map @count regions, the i-th from @fds[i], in place of what @memory had.  The descriptors stay
 * the caller's.  Returns 0 or a negative errno, and then @memory is as it was: -EINVAL for regions
 * that are empty, wrap around, overlap each other or lie beyond the end of their file. */
int hx_guest_memory_map(HxGuestMemory *memory, const HxRegionDescription *regions, unsigned count,
                        const int *fds);

/* Unmap all. */
void hx_guest_memory_clear(HxGuestMemory *memory);

/* The @size bytes at the front end's virtual address @address, which must lie within one region.
 * NULL where they do not.  Valid until the next map or clear. */
void *hx_guest_memory_from_user(const HxGuestMemory *memory, uint64_t address, uint64_t size);

/* The @size bytes at the guest-physical address @address, as up to @max entries of @ret (regions
 * may border on each other).  Returns the number of entries, -EFAULT where any byte is outside,
 * -ENOBUFS where @max is too small. */
int hx_guest_memory_translate(const HxGuestMemory *memory, uint64_t address, uint64_t size,
                              struct iovec *ret, unsigned max);
