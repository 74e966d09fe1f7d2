/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guest-provision/vsockenc/resource.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <virtgpu_drm.h>
#include <xf86drm.h>

/* Minor numbers of render nodes, linux/drm: 128 to 191. */
enum { RENDER_FIRST = 128, RENDER_LAST = 191 };

struct HxResourceDevice {
    int fd;
};

static gboolean fail_errno(GError **error, int errnum, const char *what)
{
    g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errnum), "%s: %s", what,
                g_strerror(errnum));
    return FALSE;
}

static gboolean is_virtio_gpu(int fd)
{
    drmVersionPtr version = drmGetVersion(fd);
    gboolean is = version && g_strcmp0(version->name, "virtio_gpu") == 0;
    drmFreeVersion(version);
    return is;
}

HxResourceDevice *hx_resource_device_open(GError **error)
{
    int refused = 0;
    for (int minor = RENDER_FIRST; minor <= RENDER_LAST; minor++) {
        g_autofree char *path = g_strdup_printf("/dev/dri/renderD%d", minor);
        int fd = open(path, O_RDWR | O_CLOEXEC);
        if (fd < 0) {
            if (errno != ENOENT)
                refused = errno;
            continue;
        }
        if (is_virtio_gpu(fd)) {
            HxResourceDevice *device = g_new0(HxResourceDevice, 1);
            device->fd = fd;
            return device;
        }
        close(fd);
    }
    if (refused)
        fail_errno(error, refused, "render nodes in /dev/dri");
    else
        g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND,
                            "no render node of a virtio GPU in /dev/dri");
    return NULL;
}

void hx_resource_device_free(HxResourceDevice *device)
{
    if (!device)
        return;
    close(device->fd);
    g_free(device);
}

/* A GEM handle of @dmabuf_fd, to be closed with close_handle().  The kernel gives one handle for
 * one buffer and file, however often it is asked for: hence one thread at a time. */
static gboolean import(HxResourceDevice *device, int dmabuf_fd, guint32 *ret_handle, GError **error)
{
    struct drm_prime_handle prime = {.fd = dmabuf_fd};
    if (drmIoctl(device->fd, DRM_IOCTL_PRIME_FD_TO_HANDLE, &prime) < 0) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED,
                    "the dma-buf is not the virtio GPU's: %s", g_strerror(errno));
        return FALSE;
    }
    *ret_handle = prime.handle;
    return TRUE;
}

static void close_handle(HxResourceDevice *device, guint32 handle)
{
    struct drm_gem_close request = {.handle = handle};
    drmIoctl(device->fd, DRM_IOCTL_GEM_CLOSE, &request);
}

gboolean hx_resource_lookup(HxResourceDevice *device, int dmabuf_fd, HxResource *ret_resource,
                            GError **error)
{
    guint32 handle;
    if (!import(device, dmabuf_fd, &handle, error))
        return FALSE;
    struct drm_virtgpu_resource_info info = {.bo_handle = handle};
    int failure = drmIoctl(device->fd, DRM_IOCTL_VIRTGPU_RESOURCE_INFO, &info) < 0 ? errno : 0;
    close_handle(device, handle);
    if (failure)
        return fail_errno(error, failure, "VIRTGPU_RESOURCE_INFO");
    if (!info.res_handle) {
        g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED,
                            "the dma-buf has no resource on the host");
        return FALSE;
    }
    ret_resource->id = info.res_handle;
    /* Its name is "stride" in libdrm's header and "blob_mem" in the kernel's, which not every
     * distribution has. */
    G_STATIC_ASSERT(sizeof info == 4 * sizeof(guint32));
    const guint32 blob_mem = ((const guint32 *)&info)[3];
    ret_resource->host_has_more = blob_mem == 0;
    return TRUE;
}

gboolean hx_resource_fetch(HxResourceDevice *device, int dmabuf_fd, guint32 width, guint32 height,
                           GError **error)
{
    guint32 handle;
    if (!import(device, dmabuf_fd, &handle, error))
        return FALSE;
    /* The kernel refuses a stride for a resource that is no blob: the layout is the resource's. */
    struct drm_virtgpu_3d_transfer_from_host transfer = {
        .bo_handle = handle,
        .box = {.w = width, .h = height, .d = 1},
    };
    struct drm_virtgpu_3d_wait wait = {.handle = handle};
    int failure = 0;
    if (drmIoctl(device->fd, DRM_IOCTL_VIRTGPU_TRANSFER_FROM_HOST, &transfer) < 0 ||
        drmIoctl(device->fd, DRM_IOCTL_VIRTGPU_WAIT, &wait) < 0)
        failure = errno;
    close_handle(device, handle);
    return !failure || fail_errno(error, failure, "VIRTGPU_TRANSFER_FROM_HOST");
}

gboolean hx_dmabuf_wait(int dmabuf_fd, guint timeout_ms, GCancellable *cancellable, GError **error)
{
    struct pollfd fds[2] = {{.fd = dmabuf_fd, .events = POLLIN}, {.fd = -1, .events = POLLIN}};
    /* Nearly always it is drawn already. */
    if (poll(fds, 1, 0) == 1)
        return TRUE;
    gint64 deadline = g_get_monotonic_time() + (gint64)timeout_ms * 1000;
    fds[1].fd = g_cancellable_get_fd(cancellable);
    int ready;
    do {
        gint64 left = deadline - g_get_monotonic_time();
        ready = poll(fds, 2, left > 0 ? (int)((left + 999) / 1000) : 0);
    } while (ready < 0 && errno == EINTR);
    int failure = ready < 0 ? errno : ETIMEDOUT;
    g_cancellable_release_fd(cancellable);
    if (g_cancellable_set_error_if_cancelled(cancellable, error))
        return FALSE;
    return ready > 0 || fail_errno(error, failure, "the fence of a dma-buf");
}

static int sync_read(int dmabuf_fd, guint64 flag)
{
    struct dma_buf_sync request = {.flags = flag | DMA_BUF_SYNC_READ};
    int result;
    do {
        result = ioctl(dmabuf_fd, DMA_BUF_IOCTL_SYNC, &request);
    } while (result < 0 && (errno == EINTR || errno == EAGAIN));
    return result;
}

gboolean hx_dmabuf_begin_read(int dmabuf_fd, GError **error)
{
    /* Shared memory that a source hands out as a dma-buf has no device whose writes may be late. */
    return sync_read(dmabuf_fd, DMA_BUF_SYNC_START) == 0 || errno == ENOTTY ||
           fail_errno(error, errno, "DMA_BUF_IOCTL_SYNC");
}

void hx_dmabuf_end_read(int dmabuf_fd)
{
    sync_read(dmabuf_fd, DMA_BUF_SYNC_END);
}
