/* SPDX-License-Identifier: GPL-2.0-or-later */
/* GL contexts for virglrenderer as QEMU makes them, by callbacks, but without a window. */
#pragma once

#include <virgl/virglrenderer.h>

/* Set the callbacks of version 1 that make, destroy and choose a context; FALSE where there is no
 * EGL for it. */
int gl_contexts_provide(struct virgl_renderer_callbacks *callbacks);
