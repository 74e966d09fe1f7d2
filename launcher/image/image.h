/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The base images that VMs' disks lie on: where they are, what they are, and who uses them. */
#pragma once

#include <gio/gio.h>

/* A base image: a read-only qcow2 disk, built from Debian's packages or fetched from the network.
 * Beside the disk lie the kernel and initial ramdisk that boot it directly; without them it boots
 * by firmware.  Its image.json says what it is: "architecture", "boot" ("firmware": it may be
 * without kernel), "virtual_size", and where it comes from. */
typedef struct HxImage HxImage;

/* The directory of all images, STATE/images, which may be missing.  Free with g_free. */
char *hx_image_directory(GError **error);

/* The same, made where it is missing. */
char *hx_image_create_directory(GError **error);

/* The image called @name.  HX_ERROR_USAGE for a bad name (1 to 40 characters of a-z, 0-9, '-', '.'
 * and '_', the first a letter or digit), HX_ERROR_NOT_FOUND where it was never built,
 * HX_ERROR_CONFIG where it is damaged.  Any thread. */
HxImage *hx_image_open(const char *name, GError **error);

/* All images, by name, as HxImage; damaged ones are left out.  Free with g_ptr_array_unref. */
GPtrArray *hx_image_list(GError **error);

void hx_image_free(HxImage *image);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HxImage, hx_image_free)

/* Absolute paths and other text live as long as @image.  Some are NULL: */
const char *hx_image_name(const HxImage *image);
const char *hx_image_disk(const HxImage *image);
const char *hx_image_kernel(const HxImage *image);       /* NULL: it boots by firmware */
const char *hx_image_initrd(const HxImage *image);       /* NULL where the kernel is */
const char *hx_image_architecture(const HxImage *image); /* "x86_64" or "aarch64" */
const char *hx_image_root(const HxImage *image);         /* the guest's root device, "/dev/vda" */
gboolean hx_image_has_boot_loader(const HxImage *image); /* firmware can boot it */
const char *hx_image_system(const HxImage *image);       /* "Debian 13.1", for people */
/* Of a built image; NULL of others: */
const char *hx_image_built_at(const HxImage *image);       /* ISO 8601, UTC */
const char *hx_image_debian_version(const HxImage *image); /* "13.1" */
const char *hx_image_kernel_version(const HxImage *image); /* as uname -r */
const char *hx_image_recipe(const HxImage *image);         /* checksum of what it was built from */
/* Of a fetched image; NULL of others: */
const char *hx_image_fetched_at(const HxImage *image); /* ISO 8601, UTC */
const char *hx_image_source(const HxImage *image);     /* its URL */
const char *hx_image_checksum(const HxImage *image);   /* "sha256:HEX", of what was downloaded; NULL
                                                          where there was nothing to check it with */
guint64 hx_image_virtual_size(const HxImage *image);   /* bytes, as the guest sees the disk */
guint64 hx_image_size(const HxImage *image);           /* bytes of all its files */

/* The names of the VMs whose disk lies on the image called @name, damaged or not, which may neither
 * change nor go while there are any; an empty array where there is none.  Free with g_strfreev. */
char **hx_image_users(const char *name, GError **error);

/* Whether @name is an architecture that images may have. */
gboolean hx_image_is_architecture(const char *name);

/* Whether @name can be an image's; HX_ERROR_USAGE where it cannot. */
gboolean hx_image_check_name(const char *name, GError **error);

/* Where image @name is, or is to be; for g_free.  HX_ERROR_USAGE for a bad name. */
char *hx_image_path(const char *name, GError **error);
