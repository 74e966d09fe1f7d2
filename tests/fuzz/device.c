/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/fuzz/device.h"

#include <glib.h>
#include <glib/gstdio.h>
#include <linux/virtio_vsock.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "launcher/base/fd.h"
#include "launcher/base/log.h"
#include "launcher/base/unix-socket.h"

static void fuzz_device_free(FuzzDevice *device)
{
    fuzz_device_stop(device);
    hx_vsock_free(device->vsock);
    hx_guest_memory_clear(&device->memory);
    hx_session_clear(&device->session);
    hx_events_clear(&device->events);
    for (unsigned i = 0; i < FUZZ_PORTS; i++) {
        g_autofree char *path = g_strdup_printf("%s_%u", device->path, i + 1);
        hx_close(&device->listeners[i]);
        g_unlink(path);
    }
    munmap(device->bytes, FUZZ_MEMORY);
    hx_close(&device->memfd);
    g_autofree char *directory = g_path_get_dirname(device->path);
    g_rmdir(directory);
    g_free(device->path);
    g_free(device);
}

static FuzzDevice *the_device;

static void at_exit(void)
{
    fuzz_device_free(the_device);
}

static void map_memory(FuzzDevice *device)
{
    device->memfd = memfd_create("guest", MFD_CLOEXEC);
    g_assert_cmpint(ftruncate(device->memfd, FUZZ_MEMORY), ==, 0);
    device->bytes = mmap(NULL, FUZZ_MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED, device->memfd, 0);
    g_assert_true(device->bytes != MAP_FAILED);
    HxRegionDescription regions[2];
    for (unsigned i = 0; i < 2; i++)
        regions[i] = (HxRegionDescription){
            .guest_address = FUZZ_GUEST_BASE + i * FUZZ_MEMORY / 2,
            .size = FUZZ_MEMORY / 2,
            .user_address = FUZZ_USER_BASE + i * FUZZ_USER_GAP,
            .file_offset = i * FUZZ_MEMORY / 2,
        };
    const int fds[] = {device->memfd, device->memfd};
    g_assert_cmpint(hx_guest_memory_map(&device->memory, regions, 2, fds), ==, 0);
}

void fuzz_device_own_queues(FuzzDevice *device)
{
    hx_vsock_set_queues(device->vsock, &device->queues[FUZZ_RX], &device->queues[FUZZ_TX],
                        &device->features);
}

FuzzDevice *fuzz_device_new(void)
{
    /* Two lines in all, instead of some for each input. */
    hx_log_init("fuzz", FALSE);
    hx_log_limit(2, 1000000);
    FuzzDevice *device = the_device = g_new0(FuzzDevice, 1);
    g_autofree char *directory = g_dir_make_tmp("vsock-fuzz-XXXXXX", NULL);
    g_assert_nonnull(directory);
    device->path = g_build_filename(directory, "host", NULL);
    int r = hx_events_init(&device->events);
    g_assert_cmpint(r, ==, 0);
    g_assert_cmpint(hx_session_init(&device->session, -1, HX_VSOCK_CONNECTIONS_MAX), ==, 0);
    device->vsock = hx_vsock_new(&device->events, &device->session, FUZZ_CID, device->path, &r);
    g_assert_nonnull(device->vsock);
    for (unsigned i = 0; i < FUZZ_PORTS; i++) {
        g_autofree char *path = g_strdup_printf("%s_%u", device->path, i + 1);
        device->listeners[i] = hx_unix_listen(
            path, (i + 1 < FUZZ_PORTS ? SOCK_STREAM : SOCK_SEQPACKET) | SOCK_NONBLOCK, 0600);
        g_assert_cmpint(device->listeners[i], >=, 0);
    }
    map_memory(device);
    for (unsigned i = 0; i < 2; i++)
        hx_virtqueue_init(&device->queues[i], &device->memory, i == FUZZ_RX ? "rx" : "tx");
    device->features = 1ull << VIRTIO_VSOCK_F_SEQPACKET;
    fuzz_device_own_queues(device);
    atexit(at_exit);
    return device;
}

void fuzz_device_start(FuzzDevice *device, unsigned size, bool event_idx, bool indirect)
{
    memset(device->bytes, 0, FUZZ_MEMORY);
    for (unsigned i = 0; i < 2; i++) {
        HxVirtqueue *queue = &device->queues[i];
        struct vring *vring = &device->vrings[i];
        vring_init(vring, size, device->bytes + i * FUZZ_RING, 4096);
        queue->size = size;
        queue->desc_address = FUZZ_USER_BASE + i * FUZZ_RING;
        queue->avail_address =
            queue->desc_address + ((uint8_t *)vring->avail - (uint8_t *)vring->desc);
        queue->used_address =
            queue->desc_address + ((uint8_t *)vring->used - (uint8_t *)vring->desc);
        queue->event_idx = event_idx;
        queue->indirect = indirect;
        queue->enabled = true;
        queue->last_avail = 0;
        g_assert_cmpint(hx_virtqueue_start(queue), ==, 0);
    }
}

/* What the device would have waited: its clock is the machine's and this, so that nobody waits. */
static gint64 skipped; /* µs */

/* The linker's --wrap puts the second in the place of the first in every call of ours. */
gint64 __real_g_get_monotonic_time(void);
__attribute__((visibility("default"))) gint64 __wrap_g_get_monotonic_time(void);

gint64 __wrap_g_get_monotonic_time(void)
{
    return __real_g_get_monotonic_time() + skipped;
}

void fuzz_device_run(FuzzDevice *device, unsigned rounds)
{
    for (unsigned i = 0; i < rounds; i++) {
        int64_t timeout = hx_vsock_run(device->vsock);
        skipped += MAX(timeout, 0);
        hx_events_dispatch(&device->events, 0);
        if (timeout < 0 && i >= 2)
            break;
    }
}

void fuzz_device_stop(FuzzDevice *device)
{
    hx_vsock_reset(device->vsock);
    for (unsigned i = 0; i < 2; i++)
        hx_virtqueue_stop(&device->queues[i]);
    for (unsigned i = 0; i < FUZZ_PORTS; i++)
        for (int fd; (fd = fuzz_accept(device, i)) >= 0;)
            close(fd);
    fuzz_device_run(device, 4);
}

void fuzz_offer(FuzzDevice *device, unsigned index, uint16_t head)
{
    struct vring *vring = &device->vrings[index];
    vring->avail->ring[vring->avail->idx % vring->num] = head;
    vring->avail->idx++;
}

int fuzz_accept(FuzzDevice *device, unsigned listener)
{
    return accept4(device->listeners[listener % FUZZ_PORTS], NULL, NULL,
                   SOCK_CLOEXEC | SOCK_NONBLOCK);
}
