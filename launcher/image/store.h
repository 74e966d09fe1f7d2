/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Changing what base images there are: locks, putting one in its place, removing one. */
#pragma once

#include "launcher/image/image.h"

/* What came of the wish for an image. */
typedef enum {
    HX_IMAGE_BUILT,   /* made anew */
    HX_IMAGE_CURRENT, /* it is there already, from the same recipe or source */
    HX_IMAGE_KEPT,    /* it is there in an older version, but the disks of VMs lie on it */
} HxImageOutcome;

/* Keep @image from being replaced or removed while a disk is made on it: a descriptor to be closed
 * then, or -1.  HX_ERROR_NOT_FOUND where it has gone meanwhile.  Waits for a moment at most. */
int hx_image_hold(const HxImage *image, GError **error);

/* Remove the image called @name, damaged or not.  HX_ERROR_NOT_FOUND where there is none,
 * HX_ERROR_FAILED naming the VMs where some use it.  Waits for a build or another removal to end,
 * and calls @waiting, where not NULL, with @data before it does; HX_ERROR_CANCELLED where
 * @cancellable ends the wait. */
gboolean hx_image_remove(const char *name, void (*waiting)(void *data), void *data,
                         GCancellable *cancellable, GError **error);

/* The lock of all images, which builds and removals hold: a descriptor to be closed, or -1.  Calls
 * @waiting, where not NULL, once if somebody else has it, then waits. */
int hx_image_lock(void (*waiting)(void *data), void *data, GCancellable *cancellable,
                  GError **error);

/* The lock of the directory @path, made where it is missing; otherwise as hx_image_lock(), which is
 * made of it. */
int hx_image_lock_directory(const char *path, void (*waiting)(void *data), void *data,
                            GCancellable *cancellable, GError **error);

/* Wait until nobody holds the image that is at @path, its directory; a descriptor to be closed when
 * it has been replaced, or -1. */
int hx_image_claim(const char *path, GError **error);

/* Put the finished directory @made into the place of image @name, in one step; what was there goes.
 * FALSE with @ret_in_use where VMs use that: HX_ERROR_FAILED names them, and @made is left. */
gboolean hx_image_publish(const char *name, const char *made, gboolean *ret_in_use, GError **error);

/* Refuse where VMs use the image that is at @name now, damaged or not: HX_ERROR_FAILED. */
gboolean hx_image_check_unused(const char *name, const char *to_do, GError **error);
