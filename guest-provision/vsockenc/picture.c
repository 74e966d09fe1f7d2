/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guest-provision/vsockenc/picture.h"

#include <gst/allocators/gstdmabuf.h>
#include <string.h>
#if GST_CHECK_VERSION(1, 24, 0)
#include <gst/video/video-info-dma.h>
#endif

static const struct {
    GstVideoFormat format;
    guint32 fourcc;
} formats[] = {
    {GST_VIDEO_FORMAT_BGRx, HXFR_FORMAT_XR24}, {GST_VIDEO_FORMAT_BGRA, HXFR_FORMAT_AR24},
    {GST_VIDEO_FORMAT_RGBx, HXFR_FORMAT_XB24}, {GST_VIDEO_FORMAT_RGBA, HXFR_FORMAT_AB24},
    {GST_VIDEO_FORMAT_NV12, HXFR_FORMAT_NV12},
};

/* Set an error where a buffer is not as the caps promise. */
static gboolean fail(GError **error, const char *what)
{
    g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, what);
    return FALSE;
}

#if GST_CHECK_VERSION(1, 24, 0)
/* The pixels of DMA_DRM caps, whatever their modifier: the sink's template has those that go.
 * gst_video_info_dma_drm_from_caps() takes no caps that say that there is none. */
static gboolean format_from_drm_caps(GstVideoInfo *ret_info, GstCaps *caps)
{
    GstVideoInfo drm;
    const char *name = gst_structure_get_string(gst_caps_get_structure(caps, 0), "drm-format");
    g_auto(GStrv) parts = g_strsplit(name ? name : "", ":", 2);
    if (!parts[0] || strlen(parts[0]) != 4 || !gst_video_info_from_caps(&drm, caps))
        return FALSE;
    const guint32 fourcc = hxfr_get32((const guint8 *)parts[0]);
    if (!gst_video_info_set_format(ret_info, gst_video_dma_drm_fourcc_to_format(fourcc),
                                   (guint)GST_VIDEO_INFO_WIDTH(&drm),
                                   (guint)GST_VIDEO_INFO_HEIGHT(&drm)))
        return FALSE;
    ret_info->fps_n = GST_VIDEO_INFO_FPS_N(&drm);
    ret_info->fps_d = GST_VIDEO_INFO_FPS_D(&drm);
    return TRUE;
}
#else
/* There is no format DMA_DRM yet: nobody can ask for these caps. */
static gboolean gst_video_is_dma_drm_caps(const GstCaps *caps)
{
    return FALSE;
}

static gboolean format_from_drm_caps(GstVideoInfo *ret_info, GstCaps *caps)
{
    return FALSE;
}
#endif

gboolean hx_picture_format_from_caps(HxPictureFormat *ret_format, GstCaps *caps)
{
    ret_format->is_dmabuf = gst_video_is_dma_drm_caps(caps);
    if (!(ret_format->is_dmabuf ? format_from_drm_caps(&ret_format->info, caps)
                                : gst_video_info_from_caps(&ret_format->info, caps)))
        return FALSE;
    for (gsize i = 0; i < G_N_ELEMENTS(formats); i++) {
        if (formats[i].format != GST_VIDEO_INFO_FORMAT(&ret_format->info))
            continue;
        ret_format->fourcc = formats[i].fourcc;
        return TRUE;
    }
    return FALSE;
}

/* The distance of lines in @buffer, or 0 where it is no picture of @format. */
static guint32 stride_of(const HxPictureFormat *format, GstBuffer *buffer)
{
    GstVideoMeta *meta = gst_buffer_get_video_meta(buffer);
    if (!meta)
        return (guint32)GST_VIDEO_INFO_PLANE_STRIDE(&format->info, 0);
    if (meta->n_planes < 1 || meta->stride[0] <= 0 ||
        meta->width < (guint)GST_VIDEO_INFO_WIDTH(&format->info) ||
        meta->height < (guint)GST_VIDEO_INFO_HEIGHT(&format->info))
        return 0;
    return (guint32)meta->stride[0];
}

static gsize offset_of(GstBuffer *buffer)
{
    GstVideoMeta *meta = gst_buffer_get_video_meta(buffer);
    return meta ? meta->offset[0] : 0;
}

int hx_picture_dmabuf(const HxPictureFormat *format, GstBuffer *buffer, guint32 *ret_stride)
{
    if (gst_buffer_n_memory(buffer) != 1 || format->fourcc == HXFR_FORMAT_NV12)
        return -1;
    GstMemory *memory = gst_buffer_peek_memory(buffer, 0);
    gsize memory_offset;
    gst_memory_get_sizes(memory, &memory_offset, NULL);
    *ret_stride = stride_of(format, buffer);
    if (!gst_is_dmabuf_memory(memory) || !*ret_stride || memory_offset || offset_of(buffer))
        return -1;
    return gst_dmabuf_memory_get_fd(memory);
}

gboolean hx_picture_lookup(GstBuffer *buffer, HxResourceDevice *device, HxResource *ret_resource,
                           GError **error)
{
    /* The memory that owns the descriptor; the dma-buf, and so its id, is its for life. */
    GstMemory *memory = gst_buffer_peek_memory(buffer, 0);
    while (memory->parent)
        memory = memory->parent;
    const GQuark quark = g_quark_from_static_string("helixvm-resource");
    const HxResource *known = gst_mini_object_get_qdata(GST_MINI_OBJECT(memory), quark);
    if (known) {
        *ret_resource = *known;
        return TRUE;
    }
    if (!hx_resource_lookup(device, gst_dmabuf_memory_get_fd(memory), ret_resource, error))
        return FALSE;
    gst_mini_object_set_qdata(GST_MINI_OBJECT(memory), quark,
                              g_memdup2(ret_resource, sizeof *ret_resource), g_free);
    return TRUE;
}

/* --- pixels ----------------------------------------------------------------------------------- */

static gboolean map_dmabuf(HxPictureMap *map, const HxPictureFormat *format, GstBuffer *buffer,
                           HxResourceDevice *device, GError **error)
{
    const guint32 width = (guint32)GST_VIDEO_INFO_WIDTH(&format->info);
    const guint32 height = (guint32)GST_VIDEO_INFO_HEIGHT(&format->info);
    map->stride = stride_of(format, buffer);
    gsize size = hxfr_pixels_size(format->fourcc, width, height, map->stride);
    gsize offset = offset_of(buffer);
    if (!size || gst_buffer_n_memory(buffer) != 1)
        return fail(error, "a dma-buf frame with a stride or number of planes that cannot be");
    GstMemory *memory = gst_buffer_peek_memory(buffer, 0);
    if (!gst_is_dmabuf_memory(memory))
        return fail(error, "a frame that is no dma-buf under caps that say so");
    int fd = gst_dmabuf_memory_get_fd(memory);
    HxResource resource;
    if (device && hx_picture_lookup(buffer, device, &resource, NULL) && resource.host_has_more &&
        !hx_resource_fetch(device, fd, width, height, error))
        return FALSE;
    if (!hx_dmabuf_begin_read(fd, error))
        return FALSE;
    map->dmabuf_fd = fd;
    if (!gst_memory_map(memory, &map->map, GST_MAP_READ)) {
        map->map.memory = NULL;
        return fail(error, "a dma-buf frame that cannot be mapped");
    }
    if (offset > map->map.size || map->map.size - offset < size)
        return fail(error, "a dma-buf frame that is shorter than its lines");
    map->pixels.plane[0] = map->map.data + offset;
    map->pixels.size[0] = size;
    return TRUE;
}

/* HXFR wants the planes of NV12 with one stride and an even number of lines. */
static void pack_nv12(HxPictureMap *map, guint width, guint height)
{
    const guint line = (width + 1) / 2 * 2, lines = (height + 1) / 2 * 2;
    map->stride = line;
    map->copy = g_malloc((gsize)line * lines / 2 * 3);
    guint8 *out = map->copy;
    for (guint y = 0; y < lines; y++, out += line) {
        const guint from = MIN(y, height - 1);
        memcpy(out,
               (guint8 *)GST_VIDEO_FRAME_PLANE_DATA(&map->frame, 0) +
                   (gsize)from * GST_VIDEO_FRAME_PLANE_STRIDE(&map->frame, 0),
               width);
        if (line > width)
            out[width] = out[width - 1];
    }
    for (guint y = 0; y < lines / 2; y++, out += line)
        memcpy(out,
               (guint8 *)GST_VIDEO_FRAME_PLANE_DATA(&map->frame, 1) +
                   (gsize)y * GST_VIDEO_FRAME_PLANE_STRIDE(&map->frame, 1),
               line);
    map->pixels = (HxFramePixels){{map->copy}, {(gsize)line * lines / 2 * 3}};
}

static gboolean map_memory(HxPictureMap *map, const HxPictureFormat *format, GstBuffer *buffer,
                           GError **error)
{
    const guint width = (guint)GST_VIDEO_INFO_WIDTH(&format->info);
    const guint height = (guint)GST_VIDEO_INFO_HEIGHT(&format->info);
    if (!gst_video_frame_map(&map->frame, &format->info, buffer, GST_MAP_READ)) {
        map->frame.buffer = NULL;
        return fail(error, "a frame that cannot be mapped");
    }
    if (GST_VIDEO_FRAME_PLANE_STRIDE(&map->frame, 0) <= 0)
        return fail(error, "a frame that stands on its head");
    if (format->fourcc == HXFR_FORMAT_NV12) {
        pack_nv12(map, width, height);
    } else {
        map->stride = (guint32)GST_VIDEO_FRAME_PLANE_STRIDE(&map->frame, 0);
        map->pixels.plane[0] = GST_VIDEO_FRAME_PLANE_DATA(&map->frame, 0);
        map->pixels.size[0] = hxfr_pixels_size(format->fourcc, width, height, map->stride);
    }
    return map->pixels.size[0] || fail(error, "a frame that is too large to be sent");
}

gboolean hx_picture_map(HxPictureMap *ret_map, const HxPictureFormat *format, GstBuffer *buffer,
                        HxResourceDevice *device, GError **error)
{
    *ret_map = (HxPictureMap){.dmabuf_fd = -1};
    gboolean mapped = format->is_dmabuf ? map_dmabuf(ret_map, format, buffer, device, error)
                                        : map_memory(ret_map, format, buffer, error);
    if (!mapped)
        hx_picture_unmap(ret_map);
    return mapped;
}

void hx_picture_unmap(HxPictureMap *map)
{
    if (map->frame.buffer)
        gst_video_frame_unmap(&map->frame);
    if (map->map.memory)
        gst_memory_unmap(map->map.memory, &map->map);
    if (map->dmabuf_fd >= 0)
        hx_dmabuf_end_read(map->dmabuf_fd);
    g_free(map->copy);
    *map = (HxPictureMap){.dmabuf_fd = -1};
}
