/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A VM's disks: a qcow2 overlay on a read-only base image, and disks that begin empty. */
#pragma once

#include <gio/gio.h>

typedef enum {
    HX_DISK_KEPT,
    HX_DISK_CREATED,
    HX_DISK_GROWN,
} HxDiskChange;

/* See that the disk @path is there with @size_gib GiB: made where it is missing, as an overlay on
 * the image @base (never smaller than that), or empty where @base is NULL; grown where it is
 * smaller.  It must not be in use.  Appears whole or not at all.  HX_ERROR_CONFIG where it is made
 * of other files, lies on another base or is larger, since no disk can be shrunk without loss;
 * HX_ERROR_HOST where it cannot be made. */
gboolean hx_disk_ensure(const char *path, const char *base, gint64 size_gib, uid_t owner,
                        HxDiskChange *ret_change, GCancellable *cancel, GError **error);

/* HX_ERROR_CONFIG where the disk @path is there and has more than @bytes: none can be shrunk. */
gboolean hx_disk_check_size(const char *path, gint64 bytes, GError **error);
