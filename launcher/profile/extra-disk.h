/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The disks that a VM has beside its first, as the key disk.extra lists them. */
#pragma once

#include <glib.h>

/* As many as find a slot on the machine's PCI bus together with all else. */
#define HX_EXTRA_DISKS_MAX 8

typedef struct {
    char *name; /* its serial number: /dev/disk/by-id/virtio-NAME in the guest */
    gint64 gib;
} HxExtraDisk;

void hx_extra_disk_free(HxExtraDisk *disk);

/* The disks that @value, "NAME:GIB;NAME:GIB", lists, as HxExtraDisk, for g_ptr_array_unref; none
 * where it is empty.  NULL where it is wrong: @ret_objection, for g_free, says what it must be. */
GPtrArray *hx_extra_disks_parse(const char *value, char **ret_objection);

/* The file of the disk called @name in its VM's directory, for g_free. */
char *hx_extra_disk_file(const char *name);
