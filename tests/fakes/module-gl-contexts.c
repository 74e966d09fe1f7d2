/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/fakes/module-gl-contexts.h"

#include <epoxy/egl.h>

static EGLDisplay display;
static EGLContext window; /* with which all share, as with that of SDL's window */

static virgl_renderer_gl_context create(void *cookie, int scanout,
                                        struct virgl_renderer_gl_ctx_param *wanted)
{
    const EGLint attributes[] = {EGL_CONTEXT_MAJOR_VERSION,
                                 wanted->major_ver,
                                 EGL_CONTEXT_MINOR_VERSION,
                                 wanted->minor_ver,
                                 EGL_CONTEXT_OPENGL_PROFILE_MASK,
                                 EGL_CONTEXT_OPENGL_CORE_PROFILE_BIT,
                                 EGL_NONE};
    EGLContext context = eglCreateContext(display, EGL_NO_CONFIG_KHR, window, attributes);
    /* Here, too, it is current then. */
    eglMakeCurrent(display, EGL_NO_SURFACE, EGL_NO_SURFACE, context);
    return context;
}

static void destroy(void *cookie, virgl_renderer_gl_context context)
{
    eglDestroyContext(display, context);
}

static int make_current(void *cookie, int scanout, virgl_renderer_gl_context context)
{
    return eglMakeCurrent(display, EGL_NO_SURFACE, EGL_NO_SURFACE, context) ? 0 : -1;
}

int gl_contexts_provide(struct virgl_renderer_callbacks *callbacks)
{
    display = eglGetDisplay(EGL_DEFAULT_DISPLAY);
    if (!eglInitialize(display, NULL, NULL) || !eglBindAPI(EGL_OPENGL_API))
        return 0;
    window = eglCreateContext(display, EGL_NO_CONFIG_KHR, EGL_NO_CONTEXT, NULL);
    callbacks->create_gl_context = create;
    callbacks->destroy_gl_context = destroy;
    callbacks->make_current = make_current;
    return window != EGL_NO_CONTEXT;
}
