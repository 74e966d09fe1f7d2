/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Runs in a guest: makes GPU resources of all kinds, writes to some, and destroys them again, until
 * SIGTERM.  usage: resources SEED; prints the first one's id at once, and in the end how many it
 * made.
 */
#include <drm/drm.h>
#include <drm/virtgpu_drm.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define LIVE_MAX 48
#define SIDE_MAX 1024
#define PAUSE_US 2000 /* between two of them: the host looks for their ids */

/* enum pipe_texture_target and VIRGL_BIND_ of virglrenderer's virgl_hw.h and p_defines.h. */
enum { TARGET_BUFFER = 0, TARGET_2D = 2, TARGET_3D = 3 };
enum { BIND_RENDER_TARGET = 1 << 1, BIND_SAMPLER_VIEW = 1 << 3, BIND_VERTEX_BUFFER = 1 << 4 };

/* Those that are pictures, and some that are none: R8, R16G16B16A16_FLOAT, Z32_FLOAT. */
static const uint32_t formats[] = {1, 2, 67, 134, 100, 101, 104, 64, 94, 18};

static volatile sig_atomic_t is_over;

static void on_termination(int number)
{
    is_over = 1;
}

static uint32_t random_below(uint32_t end)
{
    return (uint32_t)random() % end;
}

static int call(int fd, unsigned long request, void *argument)
{
    int r;
    do
        r = ioctl(fd, request, argument);
    while (r < 0 && (errno == EINTR || errno == EAGAIN));
    return r;
}

static void write_to(int fd, uint32_t handle, uint32_t width, uint32_t height)
{
    struct drm_virtgpu_3d_transfer_to_host transfer = {.bo_handle = handle,
                                                       .box = {.w = width, .h = height, .d = 1}};
    call(fd, DRM_IOCTL_VIRTGPU_TRANSFER_TO_HOST, &transfer);
}

/* A handle, or 0 where the kernel or the host has none for us. */
static uint32_t make_texture(int fd)
{
    uint32_t width = 1 + random_below(SIDE_MAX), height = 1 + random_below(SIDE_MAX);
    unsigned kind = random_below(8);
    struct drm_virtgpu_resource_create create = {
        .target = kind == 0   ? TARGET_BUFFER
                  : kind == 1 ? TARGET_3D
                              : TARGET_2D,
        .format = formats[random_below(sizeof formats / sizeof formats[0])],
        .bind = BIND_RENDER_TARGET | BIND_SAMPLER_VIEW,
        .width = width,
        .height = height,
        .depth = kind == 1 ? 2 : 1,
        .array_size = 1,
        .size = width * height * 8,
    };
    if (create.target == TARGET_BUFFER) {
        create.format = 64;
        create.bind = BIND_VERTEX_BUFFER;
        create.height = 1;
    }
    if (call(fd, DRM_IOCTL_VIRTGPU_RESOURCE_CREATE, &create) < 0)
        return 0;
    if (create.target == TARGET_2D && random_below(2))
        write_to(fd, create.bo_handle, width, height);
    return create.bo_handle;
}

static uint32_t make_blob(int fd)
{
    struct drm_virtgpu_resource_create_blob create = {
        .blob_mem = VIRTGPU_BLOB_MEM_GUEST,
        .blob_flags = VIRTGPU_BLOB_FLAG_USE_MAPPABLE,
        .size = 4096ull * (1 + random_below(64)),
    };
    return call(fd, DRM_IOCTL_VIRTGPU_RESOURCE_CREATE_BLOB, &create) < 0 ? 0 : create.bo_handle;
}

static void print_id(int fd, uint32_t handle)
{
    struct drm_virtgpu_resource_info info = {.bo_handle = handle};
    call(fd, DRM_IOCTL_VIRTGPU_RESOURCE_INFO, &info);
    printf("id %u\n", info.res_handle);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    uint32_t live[LIVE_MAX] = {0};
    unsigned long textures = 0, blobs = 0, refused = 0;
    int fd = open("/dev/dri/renderD128", O_RDWR | O_CLOEXEC);
    if (argc != 2 || fd < 0) {
        fprintf(stderr, "resources: %s\n", argc != 2 ? "usage: resources SEED" : strerror(errno));
        return 2;
    }
    srandom((unsigned)strtoul(argv[1], NULL, 10));
    signal(SIGTERM, on_termination);
    while (!is_over) {
        usleep(PAUSE_US);
        uint32_t *handle = &live[random_below(LIVE_MAX)];
        if (*handle) {
            struct drm_gem_close request = {.handle = *handle};
            call(fd, DRM_IOCTL_GEM_CLOSE, &request);
            *handle = 0;
            continue;
        }
        int is_blob = random_below(5) == 0;
        *handle = is_blob ? make_blob(fd) : make_texture(fd);
        if (*handle && textures + blobs == 0)
            print_id(fd, *handle);
        *(!*handle ? &refused : is_blob ? &blobs : &textures) += 1;
    }
    printf("%lu textures and buffers, %lu blobs, %lu refused\n", textures, blobs, refused);
    return textures && !ferror(stdout) ? 0 : 1;
}
