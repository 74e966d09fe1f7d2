/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A disk that a stranger made: whether it can be a base image, and as qcow2. */
#pragma once

#include <gio/gio.h>

/* See that the file @path is a disk that is made of nothing but itself, without fault, and bootable
 * as far as its first sectors say; a raw one becomes qcow2, by the same name.  Neither its format
 * nor what it refers to is left to QEMU's guess.  @working, where not NULL, is called with what
 * takes long: "checking the disk", "converting the disk".  @ret_virtual_size gets its size, bytes.
 * HX_ERROR_FAILED where it cannot be used, HX_ERROR_HOST (no room to convert it). */
gboolean hx_image_accept(const char *path, void (*working)(const char *phase, void *data),
                         void *data, guint64 *ret_virtual_size, GCancellable *cancellable,
                         GError **error);
