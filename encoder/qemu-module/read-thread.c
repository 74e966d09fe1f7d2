/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Theory of operation.  Reading a texture back waits for the GPU, and software GL waits for all
 * that anybody has told it to draw.  virglrenderer reads in QEMU's main thread alone.  GL's names
 * are shared by all contexts of a group, so a thread with a context of its own reads the texture by
 * its name, and waits beside the guest instead of in its way.  QEMU makes the context, as it makes
 * virglrenderer's: by the callbacks.
 *
 *   IDLE ──begin──▶ QUEUED ──thread──▶ ATTACHING ──▶ READING ──▶ READ ──main loop──▶ IDLE
 *                      └─────────────────── forget ──────────────▲
 *
 * A name may be destroyed and given to another texture at any time, by the guest: until the thread
 * has attached it to its framebuffer, which then keeps the texture, the main thread waits with
 * that.  The thread has but one texture to read, and between two of them makes no call of GL, so
 * that QEMU may take everything down. */
#include <dlfcn.h>
#include <epoxy/gl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "encoder/qemu-module/read-thread.h"
#include "launcher/base/log.h"

typedef enum { IDLE, QUEUED, ATTACHING, READING, READ } State;

static struct {
    void *cookie;
    const struct virgl_renderer_callbacks *callbacks; /* NULL: not prepared, or there can be none */
    virgl_renderer_gl_context context;
    GThread *thread; /* NULL before the first texture */
    GMutex lock;
    GCond changed; /* of what follows */
    gboolean started, usable, ending;
    State state;
    HxTexture texture;
    void *bytes;
    gboolean ok;
    HxReadDone done;
    void *data;
    guint source; /* that calls done */
} reader;

/* --- the thread ----------------------------------------------------------------------------------
 */

/* libepoxy, which virglrenderer has loaded; its functions of GL are variables. */
static void *epoxy(const char *name)
{
    static void *library;
    if (!library)
        library = dlopen("libepoxy.so.0", RTLD_LAZY | RTLD_NOLOAD);
    return library ? dlsym(library, name) : NULL;
}

static struct {
    typeof(&epoxy_is_desktop_gl) is_desktop_gl;
    typeof(&epoxy_glGenFramebuffers) GenFramebuffers;
    typeof(&epoxy_glBindFramebuffer) BindFramebuffer;
    typeof(&epoxy_glFramebufferTexture2D) FramebufferTexture2D;
    typeof(&epoxy_glReadPixels) ReadPixels;
    typeof(&epoxy_glGetError) GetError;
} gl;

static gboolean find_gl(void)
{
    gl.is_desktop_gl = epoxy("epoxy_is_desktop_gl");
    gl.GenFramebuffers = epoxy("epoxy_glGenFramebuffers");
    gl.BindFramebuffer = epoxy("epoxy_glBindFramebuffer");
    gl.FramebufferTexture2D = epoxy("epoxy_glFramebufferTexture2D");
    gl.ReadPixels = epoxy("epoxy_glReadPixels");
    gl.GetError = epoxy("epoxy_glGetError");
    return gl.is_desktop_gl && gl.GenFramebuffers && gl.BindFramebuffer &&
           gl.FramebufferTexture2D && gl.ReadPixels && gl.GetError;
}

static gboolean called_done(void *data)
{
    g_mutex_lock(&reader.lock);
    gboolean ok = reader.ok;
    reader.source = 0;
    reader.state = IDLE;
    g_mutex_unlock(&reader.lock);
    reader.done(ok, reader.data);
    return G_SOURCE_REMOVE;
}

/* The lock is held. */
static void finish(gboolean ok)
{
    reader.state = READ;
    reader.ok = ok;
    /* Not g_main_context_invoke(): in a moment when QEMU's main loop does not own the context, that
     * would call it here. */
    GSource *source = g_idle_source_new();
    g_source_set_priority(source, G_PRIORITY_DEFAULT);
    g_source_set_callback(source, called_done, NULL, NULL);
    reader.source = g_source_attach(source, NULL);
    g_source_unref(source);
    g_cond_broadcast(&reader.changed);
}

static void attach(GLuint texture)
{
    (*gl.FramebufferTexture2D)(GL_READ_FRAMEBUFFER, GL_COLOR_ATTACHMENT0, GL_TEXTURE_2D, texture,
                               0);
}

/* The lock is held, but while GL is called. */
static void read_texture(void)
{
    HxTexture texture = reader.texture;
    reader.state = ATTACHING;
    g_mutex_unlock(&reader.lock);
    attach(texture.texture);

    g_mutex_lock(&reader.lock);
    reader.state = READING;
    g_cond_broadcast(&reader.changed);
    g_mutex_unlock(&reader.lock);
    /* With an error of attaching's there is nothing attached, and no byte is written. */
    (*gl.ReadPixels)(0, 0, (GLsizei)texture.width, (GLsizei)texture.height,
                     texture.is_bgra ? GL_BGRA : GL_RGBA, GL_UNSIGNED_BYTE, reader.bytes);
    gboolean ok = TRUE;
    while ((*gl.GetError)() != GL_NO_ERROR)
        ok = FALSE;
    attach(0);

    g_mutex_lock(&reader.lock);
    finish(ok);
}

/* Its framebuffer stays bound: the window that QEMU makes the context current with is never
 * touched. */
static gboolean set_up_gl(void)
{
    GLuint framebuffer;
    if (reader.callbacks->make_current(reader.cookie, 0, reader.context) != 0 ||
        !gl.is_desktop_gl())
        return FALSE;
    (*gl.GenFramebuffers)(1, &framebuffer);
    (*gl.BindFramebuffer)(GL_FRAMEBUFFER, framebuffer);
    return (*gl.GetError)() == GL_NO_ERROR;
}

static void *run(void *data)
{
    gboolean usable = set_up_gl();
    g_mutex_lock(&reader.lock);
    reader.usable = usable;
    reader.started = TRUE;
    g_cond_broadcast(&reader.changed);
    while (usable && !reader.ending) {
        if (reader.state == QUEUED)
            read_texture();
        else
            g_cond_wait(&reader.changed, &reader.lock);
    }
    g_mutex_unlock(&reader.lock);
    /* Nobody can destroy a context that is current somewhere. */
    reader.callbacks->make_current(reader.cookie, 0, NULL);
    return NULL;
}

/* --- QEMU's main thread --------------------------------------------------------------------------
 */

void hx_read_thread_prepare(void *cookie, const struct virgl_renderer_callbacks *callbacks)
{
    gboolean make_contexts = callbacks && callbacks->create_gl_context && callbacks->make_current &&
                             callbacks->destroy_gl_context;
    reader.cookie = cookie;
    reader.callbacks = make_contexts ? callbacks : NULL;
}

/* A context that shares names with virglrenderer's. */
static gboolean make_context(void)
{
    typeof(&virgl_renderer_force_ctx_0) force = hx_virgl_function("virgl_renderer_force_ctx_0");
    struct virgl_renderer_gl_ctx_param wanted = {.shared = TRUE, .major_ver = 3, .minor_ver = 2};
    if (!force || !find_gl())
        return FALSE;
    /* QEMU has it share with the one that is current; and the new one may be current afterwards. */
    force();
    reader.context = reader.callbacks->create_gl_context(reader.cookie, 0, &wanted);
    force();
    return reader.context != NULL;
}

static void start(void)
{
    sigset_t all, before;
    if (!make_context()) {
        hx_log_info("no GL context to read textures with: QEMU's main thread reads them");
        reader.callbacks = NULL;
        return;
    }
    /* QEMU's signals are for its main thread. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    reader.started = reader.ending = FALSE;
    reader.thread = g_thread_new("helixvm-read", run, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);

    g_mutex_lock(&reader.lock);
    while (!reader.started)
        g_cond_wait(&reader.changed, &reader.lock);
    gboolean usable = reader.usable;
    g_mutex_unlock(&reader.lock);
    if (!usable) {
        hx_log_info("its own GL context cannot read textures: QEMU's main thread reads them");
        hx_read_thread_stop();
        reader.callbacks = NULL;
    }
}

gboolean hx_read_thread_begin(const HxTexture *texture, void *bytes, HxReadDone done, void *data)
{
    if (reader.callbacks && !reader.thread)
        start();
    if (!reader.thread)
        return FALSE;
    g_mutex_lock(&reader.lock);
    gboolean is_free = reader.state == IDLE;
    if (is_free) {
        reader.texture = *texture;
        reader.bytes = bytes;
        reader.done = done;
        reader.data = data;
        reader.state = QUEUED;
        g_cond_broadcast(&reader.changed);
    }
    g_mutex_unlock(&reader.lock);
    return is_free;
}

void hx_read_thread_cancel(void)
{
    g_mutex_lock(&reader.lock);
    if (reader.state == QUEUED)
        reader.state = IDLE;
    while (reader.state == ATTACHING || reader.state == READING)
        g_cond_wait(&reader.changed, &reader.lock);
    reader.state = IDLE;
    g_mutex_unlock(&reader.lock);
    g_clear_handle_id(&reader.source, g_source_remove);
}

void hx_read_thread_forget(uint32_t id)
{
    g_mutex_lock(&reader.lock);
    if (reader.state == QUEUED && reader.texture.resource_id == id)
        finish(FALSE);
    while (reader.state == ATTACHING && reader.texture.resource_id == id)
        g_cond_wait(&reader.changed, &reader.lock);
    g_mutex_unlock(&reader.lock);
}

void hx_read_thread_stop(void)
{
    if (reader.thread) {
        /* What has begun is told as not read: it is for the main thread to look for it. */
        g_mutex_lock(&reader.lock);
        if (reader.state == QUEUED)
            finish(FALSE);
        reader.ending = TRUE;
        g_cond_broadcast(&reader.changed);
        g_mutex_unlock(&reader.lock);
        g_thread_join(g_steal_pointer(&reader.thread));
        reader.callbacks->destroy_gl_context(reader.cookie, reader.context);
    }
}
