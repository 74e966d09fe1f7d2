/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The parts of libhelixvm-export.so, which lives in QEMU's address space: lookup and read-back. */
#pragma once

#include <glib.h>

#include "encoder/export-protocol.h"

/* All of these are called in QEMU's main thread: the constructor before main(), the rest from the
 * default GMainContext, with QEMU's big lock held.  There is one thread besides, read-thread.h's.
 */

/* Start virgl_render_server now, while the sandbox still allows it.  Where that fails the log says
 * so, and virglrenderer is left to start its own. */
void hx_render_server_start(void);

/* The descriptor for virglrenderer's get_server_fd, which then owns it; once only, -1 after that or
 * where no server was started. */
int hx_render_server_take_fd(void);

/* libvirglrenderer's own function @name, where one of that name is here as well; NULL where it has
 * none, or is not loaded. */
void *hx_virgl_function(const char *name);

/* Whether virglrenderer is initialised, and its functions were found. */
gboolean hx_virgl_is_ready(void);

/* Where a picture goes: part of the client's memory. */
typedef struct {
    void *bytes; /* mapped */
    size_t size;
    int memory;     /* the same as a file */
    uint64_t begin; /* of the slot in it, in bytes */
} HxExportSlot;

/* A thread has ended to read a texture: the picture is in its slot, top line first and without gaps
 * between lines; or GL did not read it, and the main thread is to. */
typedef void (*HxReadDone)(gboolean ok, void *data);

/* Read @request's resource into @slot, and fill @ret_answer's status and description of the
 * picture.  A bad resource or layout costs no more than an answer.
 *
 * TRUE: a thread does it, and @done is called in a later turn of the main loop; the description is
 * of the picture that will be there.  FALSE: all is done; so it is without @done (NULL), where no
 * thread can read that resource, and while one reads another. */
gboolean hx_virgl_read(const HxExportRead *request, const HxExportSlot *slot, HxReadDone done,
                       void *data, HxExportAnswer *ret_answer);

/* The same as hx_virgl_read() for a resource that tells no picture of itself, whose bytes are what
 * @request tells.
 * @is_typed: it is a texture or buffer of virgl's, of which no more than QEMU's mapping is read. */
void hx_blob_read(const HxExportRead *request, gboolean is_typed, const HxExportSlot *slot,
                  HxExportAnswer *ret_answer);

/* From now on emulated CPUs stand still while QEMU's GPU device, the library that has the address
 * @caller, changes the guest's memory map; a warning where this QEMU has not what it takes, nothing
 * where CPUs are not emulated.  Main thread. */
void hx_memory_map_guard(void *caller);

/* Virglrenderer is about to destroy all resources. */
void hx_blob_forget_all(void);

/* Listen at @path and serve from the default main context, for the life of the process. */
void hx_export_listen(const char *path);
