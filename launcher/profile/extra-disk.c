/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/profile/extra-disk.h"

#include <string.h>

#include "launcher/profile/list.h"

/* A virtio disk's serial number has 20 bytes (VIRTIO_BLK_ID_BYTES). */
#define NAME_MAX_LENGTH 20
#define GIB_MAX (1 << 16)

void hx_extra_disk_free(HxExtraDisk *disk)
{
    if (!disk)
        return;
    g_free(disk->name);
    g_free(disk);
}

static gboolean is_name(const char *name)
{
    size_t length = strlen(name);
    return length >= 1 && length <= NAME_MAX_LENGTH && g_ascii_isalnum(*name) &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == length;
}

static gboolean has_name(const GPtrArray *disks, const char *name)
{
    for (guint i = 0; i < disks->len; i++)
        if (g_str_equal(((HxExtraDisk *)disks->pdata[i])->name, name))
            return TRUE;
    return FALSE;
}

/* One "NAME:GIB"; NULL where it is none. */
static HxExtraDisk *parse_disk(const char *text)
{
    g_auto(GStrv) fields = g_strsplit(text, ":", -1);
    gint64 gib;
    if (g_strv_length(fields) != 2 || !is_name(fields[0]) ||
        !g_ascii_string_to_signed(fields[1], 10, 1, GIB_MAX, &gib, NULL))
        return NULL;
    HxExtraDisk *disk = g_new0(HxExtraDisk, 1);
    disk->name = g_strdup(fields[0]);
    disk->gib = gib;
    return disk;
}

GPtrArray *hx_extra_disks_parse(const char *value, char **ret_objection)
{
    g_autoptr(GPtrArray) disks = g_ptr_array_new_with_free_func((GDestroyNotify)hx_extra_disk_free);
    g_auto(GStrv) items = hx_list_split(value);
    for (char **item = items; *item; item++) {
        const char *text = g_strstrip(*item);
        HxExtraDisk *disk = parse_disk(text);
        if (!disk) {
            *ret_objection = g_strdup_printf(
                "a list of NAME:GIB, separated by ';', each NAME 1 to %d characters of a-z, 0-9 "
                "and '-', each GIB from 1 to %d (\"%s\" is not)",
                NAME_MAX_LENGTH, GIB_MAX, text);
            return NULL;
        }
        gboolean is_second = has_name(disks, disk->name);
        g_ptr_array_add(disks, disk);
        if (is_second) {
            *ret_objection = g_strdup_printf("a list of disks that differ in their names "
                                             "(\"%s\" is there twice)",
                                             disk->name);
            return NULL;
        }
    }
    if (disks->len <= HX_EXTRA_DISKS_MAX)
        return g_steal_pointer(&disks);
    *ret_objection = g_strdup_printf("a list of at most %d disks", HX_EXTRA_DISKS_MAX);
    return NULL;
}

char *hx_extra_disk_file(const char *name)
{
    return g_strdup_printf("extra-%s.qcow2", name);
}
