/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Runs in the guest: frames in dma-bufs that are not the virtio GPU's, through vsockenc into a
 * file. Their upper half is orange, their lower half blue; lines are further apart than they are
 * long. */
#include <fcntl.h>
#include <gst/allocators/gstdmabuf.h>
#include <gst/app/gstappsrc.h>
#include <gst/video/video.h>
#include <linux/udmabuf.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

enum { WIDTH = 640, HEIGHT = 360, STRIDE = WIDTH * 4 + 256, SIZE = STRIDE * HEIGHT, FRAMES = 10 };
static const guint8 upper[4] = {0x10, 0x80, 0xe0, 0},
                    lower[4] = {0xd0, 0x40, 0x20, 0}; /* B G R x */

/* A dma-buf of /dev/udmabuf's, which takes whole pages. */
static int new_dmabuf(void)
{
    const gsize size = ((gsize)SIZE + 4095) / 4096 * 4096;
    int memory = memfd_create("frame", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (memory < 0 || ftruncate(memory, (off_t)size) < 0 ||
        fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK) < 0)
        g_error("memfd: %m");
    guint8 *pixels = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
    if (pixels == MAP_FAILED)
        g_error("mmap: %m");
    memset(pixels, 0xff, size);
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++)
            memcpy(pixels + y * STRIDE + x * 4, y < HEIGHT / 2 ? upper : lower, 4);
    munmap(pixels, size);
    int device = open("/dev/udmabuf", O_RDWR | O_CLOEXEC);
    struct udmabuf_create request = {
        .memfd = (guint32)memory, .flags = UDMABUF_FLAGS_CLOEXEC, .size = size};
    int dmabuf = device < 0 ? -1 : ioctl(device, UDMABUF_CREATE, &request);
    if (dmabuf < 0)
        g_error("/dev/udmabuf: %m");
    close(device);
    close(memory);
    return dmabuf;
}

static GstBuffer *new_frame(GstAllocator *allocator, guint n)
{
    gsize offset[4] = {0};
    gint stride[4] = {STRIDE};
    GstBuffer *buffer = gst_buffer_new();
    gst_buffer_append_memory(buffer, gst_dmabuf_allocator_alloc(allocator, new_dmabuf(), SIZE));
    gst_buffer_add_video_meta_full(buffer, 0, GST_VIDEO_FORMAT_BGRx, WIDTH, HEIGHT, 1, offset,
                                   stride);
    GST_BUFFER_PTS(buffer) = n * GST_SECOND / 30;
    GST_BUFFER_DURATION(buffer) = GST_SECOND / 30;
    return buffer;
}

int main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GstStructure) statistics = NULL;
    gst_init(&argc, &argv);
    if (argc != 2)
        g_error("usage: dmabuf-frames FILE");
    g_autoptr(GstElement) pipeline = gst_parse_launch(
        "appsrc name=source format=time caps=\"video/x-raw(memory:DMABuf),format=DMA_DRM,"
        "drm-format=XR24,width=640,height=360,framerate=30/1\" ! vsockenc name=encoder ! "
        "filesink name=sink",
        &error);
    if (!pipeline)
        g_error("%s", error->message);
    g_autoptr(GstElement) source = gst_bin_get_by_name(GST_BIN(pipeline), "source");
    g_autoptr(GstElement) encoder = gst_bin_get_by_name(GST_BIN(pipeline), "encoder");
    g_autoptr(GstElement) sink = gst_bin_get_by_name(GST_BIN(pipeline), "sink");
    g_autoptr(GstAllocator) allocator = gst_dmabuf_allocator_new();
    g_autoptr(GstBus) bus = gst_element_get_bus(pipeline);
    g_object_set(sink, "location", argv[1], NULL);
    gst_element_set_state(pipeline, GST_STATE_PLAYING);
    for (guint n = 0; n < FRAMES; n++)
        gst_app_src_push_buffer(GST_APP_SRC(source), new_frame(allocator, n));
    gst_app_src_end_of_stream(GST_APP_SRC(source));
    g_autoptr(GstMessage) message =
        gst_bus_timed_pop_filtered(bus, 60 * GST_SECOND, GST_MESSAGE_EOS | GST_MESSAGE_ERROR);
    if (message && GST_MESSAGE_TYPE(message) == GST_MESSAGE_ERROR)
        gst_message_parse_error(message, &error, NULL);
    if (!message || error)
        g_error("%s", error ? error->message : "no end");
    g_object_get(encoder, "statistics", &statistics, NULL);
    g_print("%s\n", gst_structure_get_string(statistics, "source"));
    g_print("%s\n", gst_structure_get_string(statistics, "fallback-reason"));
    gst_element_set_state(pipeline, GST_STATE_NULL);
    return 0;
}
