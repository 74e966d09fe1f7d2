/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Theory of operation.  A blob resource is bytes; how they are a picture is what the request says.
 * They are looked for in this order.
 *
 * QEMU's mapping of host memory (HOST3D, mappable), which the guest sees in its PCI window.  Only
 * one mapping is allowed, and it is QEMU's: the functions that make and end it stand here before
 * libvirglrenderer's, and tell where it is.
 *
 * A descriptor of host memory that nobody has mapped; it is mapped here, for the one copy.
 *
 * The guest's RAM (GUEST): the iovecs that QEMU has attached.
 *
 * The bytes go by pwritev(2) into the slot's file: where a page is not there, as in a file that
 * another process has cut short, the kernel says EFAULT, and no SIGBUS ends QEMU.  Memory that the
 * CPU does not cache is not read: QEMU's main thread would be held for too long. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>
#include <virgl/virglrenderer.h>

#include "encoder/protocol.h"
#include "encoder/qemu-module/module.h"
#include "encoder/qemu-module/read-thread.h"
#include "launcher/base/fd.h"

#define EXPORT __attribute__((visibility("default")))
#define REAL(name) ((typeof(&(name)))hx_virgl_function(#name))
#define BATCH 64 /* pieces of memory for one system call */

static GHashTable *mappings; /* QEMU's: resource id → struct iovec */

/* --- before libvirglrenderer's -------------------------------------------------------------------
 */

static void forget(uint32_t id)
{
    if (mappings)
        g_hash_table_remove(mappings, GUINT_TO_POINTER(id));
}

void hx_blob_forget_all(void)
{
    g_clear_pointer(&mappings, g_hash_table_unref);
}

EXPORT int virgl_renderer_resource_map(uint32_t id, void **map, uint64_t *out_size)
{
    typeof(&virgl_renderer_resource_map) real = REAL(virgl_renderer_resource_map);
    int r = real ? real(id, map, out_size) : -EINVAL;
    if (r != 0)
        return r;
    if (!mappings)
        mappings = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    struct iovec mapping = {*map, *out_size};
    g_hash_table_insert(mappings, GUINT_TO_POINTER(id), g_memdup2(&mapping, sizeof mapping));
    return 0;
}

EXPORT int virgl_renderer_resource_unmap(uint32_t id)
{
    typeof(&virgl_renderer_resource_unmap) real = REAL(virgl_renderer_resource_unmap);
    forget(id);
    return real ? real(id) : -EINVAL;
}

EXPORT void virgl_renderer_resource_unref(uint32_t id)
{
    typeof(&virgl_renderer_resource_unref) real = REAL(virgl_renderer_resource_unref);
    forget(id);
    hx_read_thread_forget(id);
    if (real)
        real(id);
}

EXPORT void virgl_renderer_reset(void)
{
    typeof(&virgl_renderer_reset) real = REAL(virgl_renderer_reset);
    hx_read_thread_stop();
    hx_blob_forget_all();
    if (real)
        real();
}

/* --- reading -------------------------------------------------------------------------------------
 */

/* Up to @size bytes from @pieces, which it moves on, into a batch. */
static int fill_batch(const struct iovec **pieces, const struct iovec *end, size_t size,
                      struct iovec batch[BATCH])
{
    int n = 0;
    for (; n < BATCH && *pieces < end && size; (*pieces)++, n++) {
        batch[n] = **pieces;
        batch[n].iov_len = MIN(batch[n].iov_len, size);
        size -= batch[n].iov_len;
    }
    return n;
}

static gboolean has_bytes(const struct iovec *pieces, int n_pieces, size_t size)
{
    for (int i = 0; i < n_pieces && size; i++)
        size -= MIN(pieces[i].iov_len, size);
    return size == 0;
}

/* The first @size bytes of @pieces into the slot. */
static HxExportStatus copy(const struct iovec *pieces, int n_pieces, size_t size,
                           const HxExportSlot *slot)
{
    const struct iovec *end = pieces + n_pieces;
    if (!has_bytes(pieces, n_pieces, size))
        return HX_EXPORT_UNREADABLE;
    for (size_t done = 0; done < size;) {
        struct iovec batch[BATCH];
        int n = fill_batch(&pieces, end, size - done, batch);
        size_t wanted = 0;
        for (int i = 0; i < n; i++)
            wanted += batch[i].iov_len;
        if (pwritev(slot->memory, batch, n, (off_t)(slot->begin + done)) != (ssize_t)wanted)
            return HX_EXPORT_FAILED;
        done += wanted;
    }
    return HX_EXPORT_OK;
}

/* VIRGL_RENDERER_MAP_CACHE_; NONE where nothing is known of it. */
static uint32_t caching_of(uint32_t id)
{
    typeof(&virgl_renderer_resource_get_map_info) get = REAL(virgl_renderer_resource_get_map_info);
    uint32_t info = VIRGL_RENDERER_MAP_CACHE_NONE;
    return get && get(id, &info) == 0 ? info & VIRGL_RENDERER_MAP_CACHE_MASK
                                      : VIRGL_RENDERER_MAP_CACHE_NONE;
}

static HxExportStatus read_mapping(uint32_t id, const struct iovec *mapping, size_t size,
                                   const HxExportSlot *slot)
{
    uint32_t caching = caching_of(id);
    /* Software GL's is the host's own memory, of which virglrenderer says nothing. */
    return caching == VIRGL_RENDERER_MAP_CACHE_CACHED || caching == VIRGL_RENDERER_MAP_CACHE_NONE
               ? copy(mapping, 1, size, slot)
               : HX_EXPORT_UNREADABLE;
}

static HxExportStatus read_guest_memory(uint32_t id, size_t size, const HxExportSlot *slot)
{
    typeof(&virgl_renderer_resource_detach_iov) detach = REAL(virgl_renderer_resource_detach_iov);
    typeof(&virgl_renderer_resource_attach_iov) attach = REAL(virgl_renderer_resource_attach_iov);
    struct iovec *pieces = NULL;
    int n_pieces = 0;
    if (!detach || !attach)
        return HX_EXPORT_NOT_FOUND;
    /* The only way to be told of them.  They are attached again before anybody can miss them. */
    detach((int)id, &pieces, &n_pieces);
    if (!pieces)
        return HX_EXPORT_NOT_FOUND;
    HxExportStatus status = copy(pieces, n_pieces, size, slot);
    attach((int)id, pieces, n_pieces);
    return status;
}

static HxExportStatus read_file(uint32_t id, size_t size, const HxExportSlot *slot)
{
    typeof(&virgl_renderer_resource_export_blob) export = REAL(virgl_renderer_resource_export_blob);
    hx_autofd int fd = -1;
    uint32_t type = 0;
    if (!export || export(id, &type, &fd) != 0)
        return HX_EXPORT_NOT_FOUND;
    /* The memory behind an opaque one is its driver's secret. */
    gboolean is_mappable =
        type == VIRGL_RENDERER_BLOB_FD_TYPE_DMABUF || type == VIRGL_RENDERER_BLOB_FD_TYPE_SHM;
    off_t end = is_mappable && caching_of(id) == VIRGL_RENDERER_MAP_CACHE_CACHED
                    ? lseek(fd, 0, SEEK_END)
                    : -1;
    if (end < 0 || (uint64_t)end < size)
        return HX_EXPORT_UNREADABLE;
    struct iovec piece = {mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0), size};
    if (piece.iov_base == MAP_FAILED)
        return HX_EXPORT_FAILED;
    HxExportStatus status = copy(&piece, 1, size, slot);
    munmap(piece.iov_base, size);
    return status;
}

static HxExportStatus read_bytes(uint32_t id, gboolean is_typed, size_t size,
                                 const HxExportSlot *slot)
{
    const struct iovec *mapping =
        mappings ? g_hash_table_lookup(mappings, GUINT_TO_POINTER(id)) : NULL;
    if (mapping)
        return read_mapping(id, mapping, size, slot);
    if (is_typed)
        return HX_EXPORT_UNREADABLE;
    /* Of a blob that has both, the host's memory is the picture (HOST3D_GUEST). */
    HxExportStatus status = read_file(id, size, slot);
    return status == HX_EXPORT_NOT_FOUND ? read_guest_memory(id, size, slot) : status;
}

void hx_blob_read(const HxExportRead *request, gboolean is_typed, const HxExportSlot *slot,
                  HxExportAnswer *ret_answer)
{
    /* 0 for a layout that is none; then no more is found out than whether there are bytes. */
    size_t size =
        request->fourcc == HXFR_FORMAT_NV12
            ? 0
            : hxfr_pixels_size(request->fourcc, request->width, request->height, request->stride);
    if (size > slot->size) {
        ret_answer->status = HX_EXPORT_TOO_LARGE;
        return;
    }
    ret_answer->status = read_bytes(request->resource_id, is_typed, MAX(size, 1), slot);
    if (ret_answer->status != HX_EXPORT_OK)
        return;
    if (!size) {
        ret_answer->status = HX_EXPORT_UNREADABLE;
        return;
    }
    ret_answer->width = request->width;
    ret_answer->height = request->height;
    ret_answer->fourcc = request->fourcc;
    ret_answer->stride = request->stride;
    ret_answer->size = size;
}
