/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Theory of operation.  A frame is drawn when the compositor asks for one, with the clock as it is
 * then, and swapped at once: EGL's own swap interval would hold it for another frame. */
#include <EGL/egl.h>
#include <EGL/eglext.h>
#include <GLES2/gl2.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <wayland-egl.h>

#include "tests/bench/drawing/drawing.h"
#include "tests/bench/drawing/xdg-shell.h"

static struct {
    struct wl_compositor *compositor;
    struct wl_proxy *wm_base;
    struct wl_surface *surface;
    int width, height; /* 0: not configured yet */
    bool wanted;       /* the compositor asks for a frame */
} window;

static int fail(const char *what)
{
    fprintf(stderr, "drawing: %s\n", what);
    return 1;
}

/* --- Wayland ---------------------------------------------------------------------------------- */

static void on_ping(void *data, struct wl_proxy *wm_base, uint32_t serial)
{
    wl_proxy_marshal_flags(wm_base, WM_BASE_PONG, NULL, 1, 0, serial);
}

static void on_surface(void *data, struct wl_proxy *xdg_surface, uint32_t serial)
{
    wl_proxy_marshal_flags(xdg_surface, XDG_SURFACE_ACK_CONFIGURE, NULL, 1, 0, serial);
}

static void on_toplevel(void *data, struct wl_proxy *toplevel, int32_t width, int32_t height,
                        struct wl_array *states)
{
    window.width = width;
    window.height = height;
}

static void on_close(void *data, struct wl_proxy *toplevel)
{
}

static void on_global(void *data, struct wl_registry *registry, uint32_t name,
                      const char *interface, uint32_t version)
{
    static const struct wm_base_listener listener = {on_ping};
    if (strcmp(interface, wl_compositor_interface.name) == 0)
        window.compositor = wl_registry_bind(registry, name, &wl_compositor_interface, 1);
    if (strcmp(interface, wm_base_interface.name) == 0) {
        window.wm_base = wl_registry_bind(registry, name, &wm_base_interface, 1);
        wl_proxy_add_listener(window.wm_base, (void (**)(void))&listener, NULL);
    }
}

static void on_global_gone(void *data, struct wl_registry *registry, uint32_t name)
{
}

static void on_frame(void *data, struct wl_callback *callback, uint32_t time)
{
    wl_callback_destroy(callback);
    window.wanted = true;
}

/* A surface that fills the screen, of the size that the compositor says. */
static bool open_window(struct wl_display *display)
{
    static const struct wl_registry_listener registry_listener = {on_global, on_global_gone};
    static const struct xdg_surface_listener surface_listener = {on_surface};
    static const struct toplevel_listener toplevel_listener = {on_toplevel, on_close};
    wl_registry_add_listener(wl_display_get_registry(display), &registry_listener, NULL);
    if (wl_display_roundtrip(display) < 0 || !window.compositor || !window.wm_base)
        return false;
    window.surface = wl_compositor_create_surface(window.compositor);
    struct wl_proxy *xdg_surface =
        wl_proxy_marshal_flags(window.wm_base, WM_BASE_GET_XDG_SURFACE, &xdg_surface_interface, 1,
                               0, NULL, window.surface);
    wl_proxy_add_listener(xdg_surface, (void (**)(void))&surface_listener, NULL);
    struct wl_proxy *toplevel = wl_proxy_marshal_flags(xdg_surface, XDG_SURFACE_GET_TOPLEVEL,
                                                       &toplevel_interface, 1, 0, NULL);
    wl_proxy_add_listener(toplevel, (void (**)(void))&toplevel_listener, NULL);
    wl_proxy_marshal_flags(toplevel, TOPLEVEL_SET_FULLSCREEN, NULL, 1, 0, NULL);
    wl_surface_commit(window.surface);
    while (window.width <= 0 || window.height <= 0)
        if (wl_display_dispatch(display) < 0)
            return false;
    return true;
}

/* --- drawing ---------------------------------------------------------------------------------- */

static void fill(int left, int top, int width, int height, float red, float green, float blue)
{
    glScissor(left, window.height - top - height, width, height);
    glClearColor(red, green, blue, 1);
    glClear(GL_COLOR_BUFFER_BIT);
}

static void draw(uint64_t now)
{
    const int row = window.height / CLOCK_ROW_PART, block = window.height / 4;
    /* From one side to the other in two seconds, and anew. */
    int left = (int)(now % 2000000 * (uint64_t)(window.width - block) / 2000000);
    fill(0, 0, window.width, window.height, 0.2f, 0.3f, 0.4f);
    fill(left, window.height / 2, block, block, 0.9f, 0.7f, 0.2f);
    fill(0, 0, window.width, row, 0, 0, 0);
    uint64_t bits = now & ((UINT64_C(1) << CLOCK_BITS) - 1);
    uint8_t check = CHECK_SEED;
    for (int shift = 0; shift < CLOCK_BITS; shift += 8)
        check ^= (uint8_t)(bits >> shift);
    bits = bits << CHECK_BITS | check;
    for (int cell = 0; cell < CLOCK_CELLS; cell++) {
        int from = window.width * cell / CLOCK_CELLS, to = window.width * (cell + 1) / CLOCK_CELLS;
        if (bits >> (CLOCK_CELLS - 1 - cell) & 1)
            fill(from, 0, to - from, row, 1, 1, 1);
    }
}

static EGLSurface open_surface(struct wl_display *display, EGLDisplay egl)
{
    static const EGLint wanted[] = {EGL_RED_SIZE,  8, EGL_GREEN_SIZE,      8,
                                    EGL_BLUE_SIZE, 8, EGL_RENDERABLE_TYPE, EGL_OPENGL_ES2_BIT,
                                    EGL_NONE};
    static const EGLint version[] = {EGL_CONTEXT_CLIENT_VERSION, 2, EGL_NONE};
    EGLConfig config;
    EGLint n = 0;
    if (!eglInitialize(egl, NULL, NULL) || !eglBindAPI(EGL_OPENGL_ES_API) ||
        !eglChooseConfig(egl, wanted, &config, 1, &n) || n != 1)
        return EGL_NO_SURFACE;
    EGLContext context = eglCreateContext(egl, config, EGL_NO_CONTEXT, version);
    struct wl_egl_window *native =
        wl_egl_window_create(window.surface, window.width, window.height);
    EGLSurface surface = eglCreateWindowSurface(egl, config, (EGLNativeWindowType)native, NULL);
    if (surface && (!eglMakeCurrent(egl, surface, surface, context) || !eglSwapInterval(egl, 0)))
        return EGL_NO_SURFACE;
    return surface;
}

int draw_clock(void)
{
    static const struct wl_callback_listener listener = {on_frame};
    struct wl_display *display = wl_display_connect(NULL);
    if (!display)
        return fail("there is no Wayland display");
    if (!open_window(display))
        return fail("the compositor gives no window");
    EGLDisplay egl = eglGetPlatformDisplay(EGL_PLATFORM_WAYLAND_KHR, display, NULL);
    EGLSurface surface = open_surface(display, egl);
    if (surface == EGL_NO_SURFACE)
        return fail("EGL gives no surface");
    glEnable(GL_SCISSOR_TEST);
    for (window.wanted = true;;) {
        while (!window.wanted)
            if (wl_display_dispatch(display) < 0)
                return fail("the compositor is gone");
        window.wanted = false;
        draw(clock_us());
        wl_callback_add_listener(wl_surface_frame(window.surface), &listener, NULL);
        if (!eglSwapBuffers(egl, surface))
            return fail("eglSwapBuffers failed");
    }
}
