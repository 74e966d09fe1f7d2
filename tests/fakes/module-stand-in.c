/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/fakes/module-stand-in.h"

#include <dlfcn.h>
#include <glib-unix.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <unistd.h>
#include <virgl/virglrenderer.h>

#include "launcher/base/fd.h"
#include "tests/fakes/module-gl-contexts.h"

const struct StandInResource stand_in_resources[RES_COUNT + 1] = {
    [RES_BGRA] = {1, 2, WIDTH, HEIGHT},        [RES_BGRX] = {2, 2, WIDTH, HEIGHT},
    [RES_RGBA] = {67, 2, WIDTH, HEIGHT},       [RES_RGBX] = {134, 2, WIDTH, HEIGHT},
    [RES_BGRA_SRGB] = {100, 2, WIDTH, HEIGHT}, [RES_BGRX_SRGB] = {101, 2, WIDTH, HEIGHT},
    [RES_RGBA_SRGB] = {104, 2, WIDTH, HEIGHT}, [RES_R8] = {64, 2, WIDTH, HEIGHT},
    [RES_LARGE] = {1, 2, 1024, 1024},          [RES_BUFFER] = {64, 0, 4096, 1},
};

#define REAL(name) ((typeof(&name))dlsym(library, #name))

static void make_resource(void *library, uint32_t id)
{
    struct virgl_renderer_resource_create_args args = {
        .handle = id,
        .target = stand_in_resources[id].target,
        .format = stand_in_resources[id].format,
        .bind = stand_in_resources[id].target
                    ? VIRGL_RES_BIND_RENDER_TARGET | VIRGL_RES_BIND_SAMPLER_VIEW
                    : VIRGL_RES_BIND_VERTEX_BUFFER,
        .width = stand_in_resources[id].width,
        .height = stand_in_resources[id].height,
        .depth = 1,
        .array_size = 1,
        .flags = id == RES_BGRX ? 1 : 0, /* VIRGL_RESOURCE_Y_0_TOP, as a scanout has it */
    };
    g_assert_cmpint(REAL(virgl_renderer_resource_create)(&args, NULL, 0), ==, 0);
    if (id > RES_RGBA_SRGB)
        return;
    g_autofree uint32_t *pixels = g_new(uint32_t, WIDTH *HEIGHT);
    for (uint32_t i = 0; i < WIDTH * HEIGHT; i++)
        pixels[i] = pattern_pixel(i % WIDTH, i / WIDTH);
    struct {
        uint32_t x, y, z, w, h, d;
    } box = {0, 0, 0, WIDTH, HEIGHT, 1};
    struct iovec iov = {pixels, WIDTH * HEIGHT * 4};
    g_assert_cmpint(REAL(virgl_renderer_transfer_write_iov)(id, 0, 0, WIDTH * 4, 0,
                                                            (struct virgl_box *)&box, 0, &iov, 1),
                    ==, 0);
}

static void draw_blob(uint8_t *bytes)
{
    for (uint32_t y = 0; y < HEIGHT; y++)
        for (uint32_t x = 0; x < WIDTH; x++)
            ((uint32_t *)(bytes + (size_t)y * BLOB_STRIDE))[x] = pattern_pixel(x, y);
}

/* What QEMU's device calls: the first symbol in order, which is the preloaded one. */
#define FIRST(name) ((typeof(&name))dlsym(RTLD_DEFAULT, #name))

static int host_blob_file(void *library, uint32_t id)
{
    uint32_t type = 0;
    int fd = -1;
    g_assert_cmpint(REAL(virgl_renderer_resource_export_blob)(id, &type, &fd), ==, 0);
    g_assert_cmpuint(type, ==, VIRGL_RENDERER_BLOB_FD_TYPE_SHM);
    return fd;
}

static void make_blobs(void *library)
{
    enum { VENUS = 4, CONTEXT = 1 };
    static uint8_t memory[BLOB_SIZE];
    static struct iovec pieces[] = {
        {memory, 5000}, {memory + 5000, 1}, {memory + 5001, BLOB_SIZE - 5001}};
    struct virgl_renderer_resource_create_blob_args args = {
        .res_handle = RES_GUEST,
        .blob_mem = VIRGL_RENDERER_BLOB_MEM_GUEST,
        .blob_flags = VIRGL_RENDERER_BLOB_FLAG_USE_MAPPABLE,
        .size = BLOB_SIZE,
        .iovecs = pieces,
        .num_iovs = G_N_ELEMENTS(pieces),
    };
    draw_blob(memory);
    g_assert_cmpint(REAL(virgl_renderer_resource_create_blob)(&args), ==, 0);
    g_assert_cmpint(REAL(virgl_renderer_context_create_with_flags)(CONTEXT, VENUS, 4, "test"), ==,
                    0);
    args.blob_mem = VIRGL_RENDERER_BLOB_MEM_HOST3D;
    args.ctx_id = CONTEXT;
    args.num_iovs = 0;
    for (args.res_handle = RES_HOST; args.res_handle <= RES_HOST_QEMU; args.res_handle++) {
        g_assert_cmpint(REAL(virgl_renderer_resource_create_blob)(&args), ==, 0);
        hx_autofd int fd = host_blob_file(library, args.res_handle);
        void *bytes = mmap(NULL, BLOB_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        g_assert_true(bytes != MAP_FAILED);
        draw_blob(bytes);
        munmap(bytes, BLOB_SIZE);
    }
    void *map;
    uint64_t size;
    g_assert_cmpint(FIRST(virgl_renderer_resource_map)(RES_HOST_QEMU, &map, &size), ==, 0);
    g_assert_cmpuint(size, ==, BLOB_SIZE);
}

/* A mapping whose file has no more pages. */
static void shrink_mapping(void *library)
{
    hx_autofd int fd = memfd_create("short", MFD_CLOEXEC);
    void *map;
    uint64_t size;
    g_assert_cmpint(FIRST(virgl_renderer_resource_map)(RES_HOST, &map, &size), ==, 0);
    g_assert_true(mmap(map, size, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0) == map);
}

/* QEMU 10 hands callbacks of version 1 where it has no Venus. */
static void write_fence(void *cookie, uint32_t fence)
{
}

static struct virgl_renderer_callbacks callbacks = {.version = 1, .write_fence = write_fence};

/* One letter is one order; the answer is the same letter when it is done, or '!'. */
static gboolean on_order(int fd, GIOCondition condition, void *library)
{
    char order;
    if (read(fd, &order, 1) != 1)
        exit(0);
    static char cookie;
    switch (order) {
    case 'i':
    case 'v': {
        int flags = VIRGL_RENDERER_USE_EGL | VIRGL_RENDERER_USE_SURFACELESS;
        if (order == 'v')
            flags |= VIRGL_RENDERER_VENUS | VIRGL_RENDERER_RENDER_SERVER;
        if (FIRST(virgl_renderer_init)(&cookie, flags, &callbacks) != 0)
            order = '!';
        break;
    }
    case 'g':
        if (!gl_contexts_provide(&callbacks) ||
            FIRST(virgl_renderer_init)(&cookie, 0, &callbacks) != 0)
            order = '!';
        break;
    case 'r':
        for (uint32_t id = 1; id <= RES_COUNT; id++)
            make_resource(library, id);
        break;
    case 'b':
        make_blobs(library);
        break;
    case 'p':
        shrink_mapping(library);
        break;
    case 's': /* its main loop goes no further */
        raise(SIGSTOP);
        break;
    case 'm':
        if (FIRST(virgl_renderer_resource_unmap)(RES_HOST_QEMU) != 0)
            order = '!';
        break;
    case 'd':
        FIRST(virgl_renderer_resource_unref)(RES_HOST_QEMU);
        break;
    case 'u':
        FIRST(virgl_renderer_resource_unref)(RES_BGRA);
        break;
    case 'n':
        make_resource(library, RES_BGRA);
        break;
    case 'z':
        FIRST(virgl_renderer_reset)();
        break;
    case 'c':
        FIRST(virgl_renderer_cleanup)(&cookie);
        break;
    case 'e': /* what its children inherit */
        if (g_getenv("LD_PRELOAD") || g_getenv("HELIXVM_EXPORT_SOCKET"))
            order = '!';
        break;
    default:
        order = '!';
    }
    g_assert_cmpint(write(STDOUT_FILENO, &order, 1), ==, 1);
    return G_SOURCE_CONTINUE;
}

int stand_in(void)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    void *library = dlopen("libvirglrenderer.so.1", RTLD_NOW | RTLD_LOCAL);
    g_assert_nonnull(library);
    g_unix_fd_add(STDIN_FILENO, G_IO_IN | G_IO_HUP, on_order, library);
    g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
    g_main_loop_run(loop);
    return 0;
}
