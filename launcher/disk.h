/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A VM's disk: a qcow2 overlay on a read-only base image. */
#pragma once

#include <gio/gio.h>

/* See that the overlay @path on @base exists, made where it is missing with @size_gib GiB (never
 * less than @base has).  An overlay that is there is left as it is, but must be on @base.  Appears
 * whole or not at all.  HX_ERROR_CONFIG where it is on another base, HX_ERROR_HOST where it cannot
 * be made. */
gboolean hx_disk_ensure(const char *path, const char *base, gint64 size_gib, uid_t owner,
                        gboolean *ret_created, GCancellable *cancel, GError **error);
