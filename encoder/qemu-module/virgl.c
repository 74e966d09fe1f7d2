/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Theory of operation.  virgl_renderer_init() and virgl_renderer_cleanup() here stand before
 * libvirglrenderer's: they tell when the renderer may be called, and hand it the render server that
 * was started before the sandbox.  QEMU's GL device is loaded by dlopen() with local scope, where
 * dlsym(RTLD_NEXT) does not look; so the real functions come from a handle of the library, which is
 * loaded by then and is not loaded on our account. */
#include <dlfcn.h>
#include <linux/virtio_gpu.h>
#include <stddef.h>
#include <string.h>
#include <sys/uio.h>
#include <virgl/virglrenderer.h>

#include "encoder/protocol.h"
#include "encoder/qemu-module/module.h"
#include "encoder/qemu-module/read-thread.h"
#include "launcher/base/log.h"

#define EXPORT __attribute__((visibility("default")))

/* virglrenderer's virgl_box, which its public headers only name. */
typedef struct {
    uint32_t x, y, z;
    uint32_t w, h, d;
} Box;

static struct {
    int (*init)(void *cookie, int flags, struct virgl_renderer_callbacks *callbacks);
    void (*cleanup)(void *cookie);
    int (*get_info)(int id, struct virgl_renderer_resource_info *info);
    int (*read_iov)(uint32_t id, uint32_t context, uint32_t level, uint32_t stride,
                    uint32_t layer_stride, struct virgl_box *box, uint64_t offset,
                    struct iovec *iov, int n_iov);
    gboolean initialised;
    struct virgl_renderer_callbacks callbacks; /* virglrenderer keeps a pointer to them */
} virgl;

/* The formats that are four bytes a pixel in an order that DRM has a name for; numbers of enum
 * virgl_formats, virgl_hw.h, which is no public header.  Those called SRGB have the same bytes: the
 * name says how a shader is to take them. */
static const struct {
    uint32_t virgl;
    uint32_t fourcc;
} formats[] = {
    {1, HXFR_FORMAT_AR24},   /* B8G8R8A8_UNORM */
    {2, HXFR_FORMAT_XR24},   /* B8G8R8X8_UNORM */
    {67, HXFR_FORMAT_AB24},  /* R8G8B8A8_UNORM */
    {100, HXFR_FORMAT_AR24}, /* B8G8R8A8_SRGB */
    {101, HXFR_FORMAT_XR24}, /* B8G8R8X8_SRGB */
    {104, HXFR_FORMAT_AB24}, /* R8G8B8A8_SRGB */
    {134, HXFR_FORMAT_XB24}, /* R8G8B8X8_UNORM */
};

void *hx_virgl_function(const char *name)
{
    static void *library;
    /* Not loaded: a program that has linked it in; then it is the next in order. */
    if (!library)
        library = dlopen("libvirglrenderer.so.1", RTLD_LAZY | RTLD_NOLOAD) ?: RTLD_NEXT;
    return dlsym(library, name);
}

static gboolean look_up(void)
{
    static gboolean looked_up;
    if (looked_up)
        return virgl.init != NULL;
    looked_up = TRUE;
    virgl.init = hx_virgl_function("virgl_renderer_init");
    virgl.cleanup = hx_virgl_function("virgl_renderer_cleanup");
    virgl.get_info = hx_virgl_function("virgl_renderer_resource_get_info");
    virgl.read_iov = hx_virgl_function("virgl_renderer_transfer_read_iov");
    if (!virgl.init)
        hx_log_error("libvirglrenderer.so.1 is not to be found: the guest has no GPU");
    else if (!virgl.get_info || !virgl.read_iov)
        hx_log_error("this libvirglrenderer cannot read resources: frames go as pixels");
    return virgl.init != NULL;
}

static int get_server_fd(void *cookie, uint32_t version)
{
    return hx_render_server_take_fd();
}

/* A copy of the caller's callbacks, which end where their version says, with our own in it.  Only
 * where a render server is asked for: a library without Venus may know no version that high. */
static struct virgl_renderer_callbacks *complete_callbacks(struct virgl_renderer_callbacks *theirs,
                                                           int flags)
{
    static const size_t sizes[] = {
        [1] = offsetof(struct virgl_renderer_callbacks, get_drm_fd),
        [2] = offsetof(struct virgl_renderer_callbacks, write_context_fence),
        [3] = offsetof(struct virgl_renderer_callbacks, get_egl_display),
        [4] = sizeof(struct virgl_renderer_callbacks),
    };
    if (!(flags & VIRGL_RENDERER_RENDER_SERVER))
        return theirs;
    if (!theirs || theirs->version < 1 || theirs->version >= (int)G_N_ELEMENTS(sizes)) {
        hx_log_warning("virglrenderer callbacks of an unknown version: left as they are");
        return theirs;
    }
    virgl.callbacks = (struct virgl_renderer_callbacks){0};
    memcpy(&virgl.callbacks, theirs, sizes[theirs->version]);
    virgl.callbacks.version = MAX(3, theirs->version);
    if (!virgl.callbacks.get_server_fd)
        virgl.callbacks.get_server_fd = get_server_fd;
    return &virgl.callbacks;
}

EXPORT int virgl_renderer_init(void *cookie, int flags, struct virgl_renderer_callbacks *callbacks)
{
    if (!look_up())
        return -1;
    hx_memory_map_guard(__builtin_return_address(0));
    callbacks = complete_callbacks(callbacks, flags);
    int r = virgl.init(cookie, flags, callbacks);
    virgl.initialised = r == 0;
    if (virgl.initialised)
        hx_read_thread_prepare(cookie, callbacks);
    hx_log_info("virglrenderer initialised: flags 0x%x, result %d", flags, r);
    return r;
}

EXPORT void virgl_renderer_cleanup(void *cookie)
{
    virgl.initialised = FALSE;
    hx_read_thread_stop();
    hx_read_thread_prepare(NULL, NULL);
    hx_blob_forget_all();
    if (look_up() && virgl.cleanup)
        virgl.cleanup(cookie);
}

gboolean hx_virgl_is_ready(void)
{
    return virgl.initialised && virgl.get_info && virgl.read_iov;
}

static uint32_t fourcc_of(uint32_t virgl_format)
{
    for (size_t i = 0; i < G_N_ELEMENTS(formats); i++) {
        if (formats[i].virgl == virgl_format)
            return formats[i].fourcc;
    }
    return 0;
}

/* FALSE: there is no such resource.  It also fails where a winsys of virglrenderer's own has no
 * fourcc for a texture, which is known all the same. */
static gboolean get_info(uint32_t id, struct virgl_renderer_resource_info *ret_info)
{
    *ret_info = (struct virgl_renderer_resource_info){0};
    return virgl.get_info((int)id, ret_info) == 0 || ret_info->width;
}

/* Everything in @info is the guest's choice: a buffer, a volume or a texture of another format is
 * no picture. */
static gboolean is_picture(const struct virgl_renderer_resource_info *info)
{
    return fourcc_of(info->virgl_format) && info->width && info->height && info->depth <= 1 &&
           info->width <= HX_EXPORT_DIMENSION_MAX && info->height <= HX_EXPORT_DIMENSION_MAX &&
           info->stride == info->width * 4;
}

/* The picture of @info, as it is in its slot. */
static void describe(const struct virgl_renderer_resource_info *info, HxExportAnswer *ret_answer)
{
    ret_answer->status = HX_EXPORT_OK;
    ret_answer->width = info->width;
    ret_answer->height = info->height;
    ret_answer->fourcc = fourcc_of(info->virgl_format);
    ret_answer->virgl_format = info->virgl_format;
    ret_answer->stride = info->stride;
    ret_answer->size = (uint64_t)info->stride * info->height;
}

/* By the thread, where it can. */
static gboolean begin_read(uint32_t id, const struct virgl_renderer_resource_info *info,
                           const HxExportSlot *slot, HxReadDone done, void *data)
{
    uint32_t fourcc = fourcc_of(info->virgl_format);
    HxTexture texture = {
        .resource_id = id,
        .texture = info->tex_id,
        .width = info->width,
        .height = info->height,
        .is_bgra = fourcc == HXFR_FORMAT_AR24 || fourcc == HXFR_FORMAT_XR24,
    };
    return info->tex_id && !(info->flags & VIRTIO_GPU_RESOURCE_FLAG_Y_0_TOP) &&
           hx_read_thread_begin(&texture, slot->bytes, done, data);
}

/* Here and now. */
static gboolean read_texture(uint32_t id, const struct virgl_renderer_resource_info *info,
                             const HxExportSlot *slot)
{
    Box box = {.w = info->width, .h = info->height, .d = 1};
    struct iovec iov = {.iov_base = slot->bytes, .iov_len = (size_t)info->stride * info->height};
    return virgl.read_iov(id, 0, 0, info->stride, 0, (struct virgl_box *)&box, 0, &iov, 1) == 0;
}

gboolean hx_virgl_read(const HxExportRead *request, const HxExportSlot *slot, HxReadDone done,
                       void *data, HxExportAnswer *ret_answer)
{
    uint32_t id = request->resource_id;
    struct virgl_renderer_resource_info info;
    if (!hx_virgl_is_ready() || !id) {
        ret_answer->status =
            virgl.initialised && !hx_virgl_is_ready() ? HX_EXPORT_UNREADABLE : HX_EXPORT_NOT_FOUND;
        return FALSE;
    }
    gboolean exists = get_info(id, &info);
    ret_answer->virgl_format = info.virgl_format;
    if (!exists || !is_picture(&info)) {
        /* Of a blob that is neither virglrenderer 1.1 tells zeros, and older ones fail. */
        hx_blob_read(request, exists && info.width, slot, ret_answer);
        if (exists && ret_answer->status == HX_EXPORT_NOT_FOUND)
            ret_answer->status = HX_EXPORT_UNREADABLE;
        return FALSE;
    }
    if ((uint64_t)info.stride * info.height > slot->size) {
        ret_answer->status = HX_EXPORT_TOO_LARGE;
        return FALSE;
    }
    gboolean begun = done && begin_read(id, &info, slot, done, data);
    if (begun || read_texture(id, &info, slot))
        describe(&info, ret_answer);
    else
        ret_answer->status = HX_EXPORT_FAILED;
    return begun;
}
