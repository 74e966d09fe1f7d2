/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The initial ramdisk of an image: helixvm-init and the modules that it loads, as a cpio archive.
 */
#pragma once

#include <glib.h>

/* Write the ramdisk to @path: @init as /init, and each file of @modules, a directory, below
 * /modules in alphabetical order, which is the order of loading.  The archive is not compressed: an
 * emulated CPU reads four megabytes sooner than it unpacks one.  Format: "newc", as the kernel's
 * "early-userspace/buffer-format" document has it.  Errors: HX_ERROR_FAILED. */
gboolean hx_initrd_write(const char *path, const char *init, const char *modules, GError **error);
