/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/vsock/guest-memory.h"

#include <errno.h>
#include <glib.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

static bool overlap(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
    return a < b + b_size && b < a + a_size;
}

static int check_regions(const HxRegionDescription *regions, unsigned count)
{
    if (count > HX_GUEST_MEMORY_REGIONS)
        return -EINVAL;
    for (unsigned i = 0; i < count; i++) {
        const HxRegionDescription *r = &regions[i];
        uint64_t end;
        if (r->size == 0 || __builtin_add_overflow(r->guest_address, r->size, &end) ||
            __builtin_add_overflow(r->user_address, r->size, &end) ||
            __builtin_add_overflow(r->file_offset, r->size, &end) || end > G_MAXINT64)
            return -EINVAL;
        for (unsigned j = 0; j < i; j++)
            if (overlap(r->guest_address, r->size, regions[j].guest_address, regions[j].size) ||
                overlap(r->user_address, r->size, regions[j].user_address, regions[j].size))
                return -EINVAL;
    }
    return 0;
}

/* What munmap() wants the length to be a multiple of.  Not st_blksize, which other file systems,
 * and tmpfs with transparent huge pages, set to more than they map. */
static uint64_t page_size(int fd)
{
    struct statfs fs;
    uint64_t page = sysconf(_SC_PAGESIZE);
    return fstatfs(fd, &fs) == 0 && fs.f_type == HUGETLBFS_MAGIC ? (uint64_t)fs.f_bsize : page;
}

static int map_region(const HxRegionDescription *description, int fd, HxRegion *ret_region)
{
    struct stat status;
    if (fstat(fd, &status) < 0)
        return -errno;
    uint64_t end = description->file_offset + description->size;
    if ((uint64_t)status.st_size < end)
        return -EINVAL;
    /* From the file's start: any other offset would have to be a multiple of its page size, which
     * with huge pages is not ours to know.  What is only mapped costs address space alone. */
    void *mapping = mmap(NULL, end, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (mapping == MAP_FAILED)
        return -errno;
    madvise(mapping, end, MADV_DONTDUMP);
    uint64_t page = page_size(fd);
    *ret_region = (HxRegion){
        .guest_address = description->guest_address,
        .user_address = description->user_address,
        .size = description->size,
        .host = (uint8_t *)mapping + description->file_offset,
        .mapping = mapping,
        .mapping_size = (end + page - 1) / page * page,
    };
    return 0;
}

int hx_guest_memory_map(HxGuestMemory *memory, const HxRegionDescription *regions, unsigned count,
                        const int *fds)
{
    int r = check_regions(regions, count);
    if (r < 0)
        return r;
    HxGuestMemory new_memory = {0};
    for (unsigned i = 0; i < count; i++) {
        r = map_region(&regions[i], fds[i], &new_memory.regions[i]);
        if (r < 0) {
            hx_guest_memory_clear(&new_memory);
            return r;
        }
        new_memory.count++;
    }
    hx_guest_memory_clear(memory);
    *memory = new_memory;
    return 0;
}

void hx_guest_memory_clear(HxGuestMemory *memory)
{
    for (unsigned i = 0; i < memory->count; i++)
        munmap(memory->regions[i].mapping, memory->regions[i].mapping_size);
    memory->count = 0;
    memory->lost = false;
}

/* --- SIGBUS --------------------------------------------------------------------------------------
 */

static HxGuestMemory *survivor;

static void on_bus_error(int signal_number, siginfo_t *info, void *context)
{
    int saved = errno;
    for (unsigned i = 0; i < survivor->count; i++) {
        const HxRegion *r = &survivor->regions[i];
        if ((uintptr_t)info->si_addr - (uintptr_t)r->mapping >= r->mapping_size)
            continue;
        if (mmap(r->mapping, r->mapping_size, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED)
            break;
        survivor->lost = true;
        errno = saved;
        return;
    }
    /* Not the guest's memory: the access, or whoever sent the signal, ends the process. */
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

int hx_guest_memory_survive(HxGuestMemory *memory)
{
    survivor = memory;
    struct sigaction action = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO};
    return sigaction(SIGBUS, &action, NULL) < 0 ? -errno : 0;
}

void *hx_guest_memory_from_user(const HxGuestMemory *memory, uint64_t address, uint64_t size)
{
    for (unsigned i = 0; i < memory->count; i++) {
        const HxRegion *r = &memory->regions[i];
        uint64_t offset = address - r->user_address;
        if (address >= r->user_address && offset < r->size && size <= r->size - offset)
            return r->host + offset;
    }
    return NULL;
}

int hx_guest_memory_translate(const HxGuestMemory *memory, uint64_t address, uint64_t size,
                              struct iovec *ret, unsigned max)
{
    unsigned n = 0;
    while (size > 0) {
        const HxRegion *r = NULL;
        uint64_t offset = 0;
        for (unsigned i = 0; i < memory->count && !r; i++) {
            offset = address - memory->regions[i].guest_address;
            if (address >= memory->regions[i].guest_address && offset < memory->regions[i].size)
                r = &memory->regions[i];
        }
        if (!r)
            return -EFAULT;
        if (n == max)
            return -ENOBUFS;
        uint64_t part = MIN(size, r->size - offset);
        ret[n++] = (struct iovec){r->host + offset, part};
        size -= part;
        address += part; /* cannot wrap: the region's end does not */
    }
    return n;
}
