/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/doctor/venus-trial.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <virglrenderer.h>

#include "launcher/base/error.h"

#define CAPSET_VENUS 4 /* virtio_gpu.h */
#define CONTEXT_ID 1

static void on_fence(void *cookie, uint32_t fence)
{
}

static void on_context_fence(void *cookie, uint32_t context, uint32_t ring, uint64_t fence)
{
}

static void *library(const char *name, GError **error)
{
    void *handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (!handle)
        g_set_error(error, HX_ERROR, HX_ERROR_HOST, "%s", dlerror());
    return handle;
}

/* The version in the name of the file that has @symbol, "1.9.0" of libvirglrenderer.so.1.9.0, for
 * g_free. */
static char *file_version(const void *symbol)
{
    Dl_info info;
    char path[PATH_MAX];
    const char *version =
        dladdr(symbol, &info) && realpath(info.dli_fname, path) ? strstr(path, ".so.") : NULL;
    return g_strdup(version ? version + strlen(".so.") : "?");
}

static char *try_virglrenderer(GError **error)
{
    static struct virgl_renderer_callbacks callbacks = {
        .version = 3, .write_fence = on_fence, .write_context_fence = on_context_fence};
    void *virgl = library("libvirglrenderer.so.1", error);
    if (!virgl)
        return NULL;
    typeof(virgl_renderer_init) *init = dlsym(virgl, "virgl_renderer_init");
    typeof(virgl_renderer_context_create_with_flags) *create =
        dlsym(virgl, "virgl_renderer_context_create_with_flags");
    if (!init || !create) {
        g_set_error_literal(error, HX_ERROR, HX_ERROR_HOST, "virglrenderer is too old for Venus");
        return NULL;
    }
    /* Without virgl, which would want an OpenGL context: QEMU gives it one. */
    int r = init(&callbacks,
                 VIRGL_RENDERER_VENUS | VIRGL_RENDERER_NO_VIRGL | VIRGL_RENDERER_RENDER_SERVER,
                 &callbacks);
    if (r != 0) {
        g_set_error(error, HX_ERROR, HX_ERROR_HOST,
                    "virglrenderer does not start with Venus (%d): it is built without, or its "
                    "render server fails",
                    r);
        return NULL;
    }
    r = create(CONTEXT_ID, CAPSET_VENUS, strlen("doctor"), "doctor");
    if (r != 0) {
        g_set_error(error, HX_ERROR, HX_ERROR_HOST,
                    "virgl_render_server does not serve a context: %s", g_strerror(r));
        return NULL;
    }
    return file_version(init);
}

/* --- the host's Vulkan, by the loader's interface (Vulkan 1.0, chapters 4 and 5)
 * ------------------
 */

typedef struct {
    int type; /* VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO */
    const void *next;
    uint32_t flags;
    const void *application;
    uint32_t n_layers;
    const char *const *layers;
    uint32_t n_extensions;
    const char *const *extensions;
} InstanceInfo;

/* Its head; what follows is the driver's to fill. */
typedef struct {
    uint32_t api_version, driver_version, vendor, device;
    int type;
    char name[256];
    char rest[4096];
} DeviceProperties;

static char *first_device(GError **error)
{
    void *vulkan = library("libvulkan.so.1", error);
    if (!vulkan)
        return NULL;
    int (*create)(const InstanceInfo *, const void *, void **) = dlsym(vulkan, "vkCreateInstance");
    int (*list)(void *, uint32_t *, void **) = dlsym(vulkan, "vkEnumeratePhysicalDevices");
    void (*describe)(void *, DeviceProperties *) = dlsym(vulkan, "vkGetPhysicalDeviceProperties");
    InstanceInfo info = {.type = 1};
    void *instance = NULL, *device = NULL;
    uint32_t n = 1;
    if (!create || !list || !describe || create(&info, NULL, &instance) != 0 ||
        list(instance, &n, &device) < 0 || n == 0) {
        g_set_error_literal(error, HX_ERROR, HX_ERROR_HOST, "the host has no Vulkan driver");
        return NULL;
    }
    DeviceProperties properties = {0};
    describe(device, &properties);
    return g_strndup(properties.name, sizeof properties.name);
}

char *hx_venus_try(GError **error)
{
    g_autofree char *version = try_virglrenderer(error);
    g_autofree char *device = version ? first_device(error) : NULL;
    return device ? g_strdup_printf("libvirglrenderer %s with its render server, on %s", version,
                                    device)
                  : NULL;
}
