/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A thread of the module's that reads textures back, so that QEMU's main thread does not wait for
 * what the GPU has to draw before. */
#pragma once

#include <stddef.h>
#include <virgl/virglrenderer.h>

#include "encoder/qemu-module/module.h"

/* All functions are called in QEMU's main thread. */

typedef struct {
    uint32_t resource_id;
    uint32_t texture; /* GL's name of it, in virglrenderer's share group */
    uint32_t width, height;
    gboolean is_bgra; /* the order of the bytes: B, G, R, A, or else R, G, B, A */
} HxTexture;

/* virglrenderer was initialised with @cookie and @callbacks, which stay where they are until others
 * or NULL are told.  The thread itself starts with the first texture. */
void hx_read_thread_prepare(void *cookie, const struct virgl_renderer_callbacks *callbacks);

/* Begin to read @texture into @bytes, width × height × 4 of them, of which nothing else makes use
 * until @done is called, from the default main context.  FALSE where there can be no such thread:
 * without callbacks that make a context, or where GL is OpenGL ES, which does not read each order
 * of bytes.  One at a time. */
gboolean hx_read_thread_begin(const HxTexture *texture, void *bytes, HxReadDone done, void *data);

/* The one that has begun, if there is one, is not wanted any more: its @done is not called.  Waits
 * until its bytes are let alone. */
void hx_read_thread_cancel(void);

/* The resource @id is about to be destroyed.  A texture of its that is being read is there until it
 * has been read; one that the thread has not looked up yet counts as not read. */
void hx_read_thread_forget(uint32_t id);

/* virglrenderer is about to destroy all contexts: end the thread and its own.  Another one starts
 * with the next texture. */
void hx_read_thread_stop(void);
