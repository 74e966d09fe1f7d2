/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One buffer to encode, as HXFR describes it: a dma-buf, or pixels in memory. */
#pragma once

#include "guest-provision/vsockenc/frame-client.h"
#include "guest-provision/vsockenc/resource.h"

#include <gst/video/video.h>

/* What the caps say about every buffer. */
typedef struct {
    guint32 fourcc;    /* HXFR_FORMAT_* */
    GstVideoInfo info; /* of system memory, also where the buffers are dma-bufs */
    gboolean is_dmabuf;
} HxPictureFormat;

/* FALSE where @caps are not among those that can be sent. */
gboolean hx_picture_format_from_caps(HxPictureFormat *ret_format, GstCaps *caps);

/* The dma-buf that @buffer is from its first byte on, and its lines' distance in bytes.  -1 where
 * it is something else. */
int hx_picture_dmabuf(const HxPictureFormat *format, GstBuffer *buffer, guint32 *ret_stride);

/* hx_resource_lookup() of @buffer, for which hx_picture_dmabuf() is not -1.  The answer is kept
 * with the buffer's memory: asking the GPU attaches the resource and detaches it again, two
 * commands to the host, and the source has few buffers that come again and again. */
gboolean hx_picture_lookup(GstBuffer *buffer, HxResourceDevice *device, HxResource *ret_resource,
                           GError **error);

/* Pixels that can be read, until they are cleared. */
typedef struct {
    HxFramePixels pixels;
    guint32 stride;
    GstVideoFrame frame; /* mapped where frame.buffer is not NULL */
    GstMapInfo map;      /* mapped where map.memory is not NULL */
    int dmabuf_fd;       /* that has a read begun, or -1 */
    guint8 *copy;
} HxPictureMap;

/* Map @buffer.  @device may be NULL; it is asked to bring a dma-buf's pages up to date. */
gboolean hx_picture_map(HxPictureMap *ret_map, const HxPictureFormat *format, GstBuffer *buffer,
                        HxResourceDevice *device, GError **error);
void hx_picture_unmap(HxPictureMap *map);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(HxPictureMap, hx_picture_unmap)
