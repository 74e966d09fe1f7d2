/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Runs in a guest: makes a blob resource of each kind that holds a picture, and stays.  Prints a
 * line for each, KIND ID WIDTH HEIGHT STRIDE and the colours of the picture's quarters as RRGGBB;
 * and in the end "made". */
#include <drm/drm.h>
#include <drm/virtgpu_drm.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define WIDTH 320
#define HEIGHT 240
#define STRIDE 1536 /* more than a line takes */
#define SIZE (STRIDE * HEIGHT)

/* virtio_gpu.h of virglrenderer's protocol: capability sets; virgl_protocol.h: the command. */
enum { CAPSET_VIRGL2 = 2, CAPSET_VENUS = 4 };
enum { PIPE_RESOURCE_CREATE = 48, PIPE_RESOURCE_CREATE_SIZE = 11 };
enum { TARGET_BUFFER = 0, FORMAT_R8 = 64, BIND_VERTEX_BUFFER = 1 << 4, BLOB_ID = 7 };
enum { FLAG_MAP_PERSISTENT = 1 << 1, FLAG_MAP_COHERENT = 1 << 2 };

static _Noreturn void fail(const char *kind, const char *what)
{
    fprintf(stderr, "blobs: %s: %s: %s\n", kind, what, strerror(errno));
    exit(1);
}

/* Blobs of virgl and Venus belong to a context of theirs: one for each open file. */
static int open_device(const char *kind, uint32_t capset)
{
    struct drm_virtgpu_context_set_param parameter = {VIRTGPU_CONTEXT_PARAM_CAPSET_ID, capset};
    struct drm_virtgpu_context_init init = {.num_params = 1,
                                            .ctx_set_params = (uintptr_t)&parameter};
    int fd = open("/dev/dri/renderD128", O_RDWR | O_CLOEXEC);
    if (fd < 0 || (capset && ioctl(fd, DRM_IOCTL_VIRTGPU_CONTEXT_INIT, &init) < 0))
        fail(kind, "context");
    return fd;
}

/* The colour of a quarter, 0 to 3. */
static uint32_t colour(uint32_t seed, int quarter)
{
    static const uint32_t change[] = {0, 0x404040, 0x808080, 0xc0c0c0};
    return seed ^ change[quarter];
}

static void draw(uint8_t *bytes, uint32_t seed)
{
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++)
            ((uint32_t *)(bytes + y * STRIDE))[x] =
                colour(seed, (y >= HEIGHT / 2) * 2 + (x >= WIDTH / 2));
}

/* Where @create's memory can be mapped @seed's picture is drawn into it. */
static void make(const char *kind, uint32_t capset, struct drm_virtgpu_resource_create_blob create,
                 uint32_t seed)
{
    int fd = open_device(kind, capset);
    create.size = SIZE;
    if (ioctl(fd, DRM_IOCTL_VIRTGPU_RESOURCE_CREATE_BLOB, &create) < 0)
        fail(kind, "RESOURCE_CREATE_BLOB");
    struct drm_virtgpu_map map = {.handle = create.bo_handle};
    if (create.blob_flags & VIRTGPU_BLOB_FLAG_USE_MAPPABLE) {
        if (ioctl(fd, DRM_IOCTL_VIRTGPU_MAP, &map) < 0)
            fail(kind, "VIRTGPU_MAP");
        uint8_t *bytes =
            mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)map.offset);
        if (bytes == MAP_FAILED)
            fail(kind, "mmap");
        draw(bytes, seed);
    }
    printf("%s %u %d %d %d", kind, create.res_handle, WIDTH, HEIGHT, STRIDE);
    for (int quarter = 0; quarter < 4; quarter++)
        printf(" %06x", colour(seed, quarter));
    printf("\n");
}

static void make_virgl_buffer(const char *kind, uint32_t blob_flags, uint32_t seed)
{
    uint32_t command[1 + PIPE_RESOURCE_CREATE_SIZE] = {
        PIPE_RESOURCE_CREATE | PIPE_RESOURCE_CREATE_SIZE << 16,
        TARGET_BUFFER,
        FORMAT_R8,
        BIND_VERTEX_BUFFER,
        SIZE, /* and height, depth, layers, level, samples */
        1,
        1,
        1,
        0,
        0,
        FLAG_MAP_PERSISTENT | FLAG_MAP_COHERENT,
        BLOB_ID,
    };
    make(kind, CAPSET_VIRGL2,
         (struct drm_virtgpu_resource_create_blob){.blob_mem = VIRTGPU_BLOB_MEM_HOST3D,
                                                   .blob_flags = blob_flags,
                                                   .blob_id = BLOB_ID,
                                                   .cmd = (uintptr_t)command,
                                                   .cmd_size = sizeof command},
         seed);
}

int main(void)
{
    const uint32_t mappable = VIRTGPU_BLOB_FLAG_USE_MAPPABLE;
    make("guest", 0,
         (struct drm_virtgpu_resource_create_blob){.blob_mem = VIRTGPU_BLOB_MEM_GUEST,
                                                   .blob_flags = mappable},
         0x2050a0);
    make("guest-shareable", 0,
         (struct drm_virtgpu_resource_create_blob){.blob_mem = VIRTGPU_BLOB_MEM_GUEST,
                                                   .blob_flags =
                                                       mappable | VIRTGPU_BLOB_FLAG_USE_SHAREABLE},
         0xa02050);
    make_virgl_buffer("virgl", mappable, 0x50a020);
    make_virgl_buffer("unmapped", 0, 0);
    /* The last: once it is mapped the host has made all those before. */
    make("venus", CAPSET_VENUS,
         (struct drm_virtgpu_resource_create_blob){.blob_mem = VIRTGPU_BLOB_MEM_HOST3D,
                                                   .blob_flags = mappable},
         0x90b030);
    printf("made\n");
    fflush(stdout);
    pause();
    return 1;
}
