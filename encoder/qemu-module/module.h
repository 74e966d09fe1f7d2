/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The parts of libhelixvm-export.so, which lives in QEMU's address space: lookup and read-back. */
#pragma once

#include <glib.h>

#include "encoder/export-protocol.h"

/* All of it runs in QEMU's main thread: the constructor before main(), the rest from the default
 * GMainContext, with QEMU's big lock held. */

/* Start virgl_render_server now, while the sandbox still allows it.  Where that fails the log says
 * so, and virglrenderer is left to start its own. */
void hx_render_server_start(void);

/* The descriptor for virglrenderer's get_server_fd, which then owns it; once only, -1 after that or
 * where no server was started. */
int hx_render_server_take_fd(void);

/* Whether virglrenderer is initialised, and its functions were found. */
gboolean hx_virgl_is_ready(void);

/* Read resource @id into @slot, @slot_size bytes, and fill @ret_answer's status and description of
 * the picture.  A bad resource costs no more than an answer. */
void hx_virgl_read(uint32_t id, void *slot, size_t slot_size, HxExportAnswer *ret_answer);

/* Listen at @path and serve from the default main context, for the life of the process. */
void hx_export_listen(const char *path);
