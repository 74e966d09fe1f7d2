/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the host calls a dma-buf of the virtio GPU: its resource id. */
#pragma once

#include <gio/gio.h>

/* The virtio GPU's render node.  Used by one thread at a time. */
typedef struct HxResourceDevice HxResourceDevice;

typedef struct {
    guint32 id;             /* as in virtio's struct virtio_gpu_resource_create_3d, never 0 */
    gboolean host_has_more; /* the guest's pages do not follow what the GPU draws */
} HxResource;

/* Open the first render node that is a virtio GPU's.  NULL with G_IO_ERROR_NOT_FOUND where there is
 * none, and G_IO_ERROR_PERMISSION_DENIED where it may not be opened. */
HxResourceDevice *hx_resource_device_open(GError **error);
void hx_resource_device_free(HxResourceDevice *device);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HxResourceDevice, hx_resource_device_free)

/* Look @dmabuf_fd up.  Fails with G_IO_ERROR_NOT_SUPPORTED where it is of another device. */
gboolean hx_resource_lookup(HxResourceDevice *device, int dmabuf_fd, HxResource *ret_resource,
                            GError **error);

/* Copy @width × @height pixels from the host into the guest's pages of @dmabuf_fd, whose HxResource
 * says host_has_more.  Blocks until it is done. */
gboolean hx_resource_fetch(HxResourceDevice *device, int dmabuf_fd, guint32 width, guint32 height,
                           GError **error);

/* Wait until what the GPU was told to draw into @dmabuf_fd is drawn: its implicit fence, as
 * poll(2) on a dma-buf reports it.  Fails with G_IO_ERROR_TIMED_OUT after @timeout_ms, and with
 * G_IO_ERROR_CANCELLED once @cancellable is. */
gboolean hx_dmabuf_wait(int dmabuf_fd, guint timeout_ms, GCancellable *cancellable, GError **error);

/* Bracket reads of the mapped @dmabuf_fd by the CPU: DMA_BUF_IOCTL_SYNC, linux/dma-buf.h. */
gboolean hx_dmabuf_begin_read(int dmabuf_fd, GError **error);
void hx_dmabuf_end_read(int dmabuf_fd);
