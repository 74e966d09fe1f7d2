/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/disk/qcow2-header.h"

#include <string.h>

#include "launcher/base/error.h"

#define MAGIC 0x514649fbU
#define SIZE_OF_VERSION_2 72
/* dirty, corrupt, external data, compression type, extended L2 entries */
#define KNOWN_FEATURES 0x1fU

static guint32 read_32(const guint8 *at)
{
    guint32 value;
    memcpy(&value, at, sizeof value);
    return GUINT32_FROM_BE(value);
}

static guint64 read_64(const guint8 *at)
{
    guint64 value;
    memcpy(&value, at, sizeof value);
    return GUINT64_FROM_BE(value);
}

gboolean hx_qcow2_header_parse(const guint8 *data, gsize length, HxQcow2Header *ret_header)
{
    if (length < SIZE_OF_VERSION_2 || read_32(data) != MAGIC)
        return FALSE;
    HxQcow2Header header = {
        .version = read_32(data + 4),
        .backing_offset = read_64(data + 8),
        .backing_size = read_32(data + 16),
        .virtual_size = read_64(data + 24),
        .encryption = read_32(data + 32),
    };
    if (header.version != 2 && header.version != 3)
        return FALSE;
    if (header.version == 3) {
        if (length < HX_QCOW2_HEADER_SIZE)
            return FALSE;
        header.incompatible = read_64(data + 72);
    }
    *ret_header = header;
    return TRUE;
}

gboolean hx_qcow2_header_check_alone(const HxQcow2Header *header, GError **error)
{
    const char *why = NULL;
    if (header->backing_offset || header->backing_size)
        why = "it lies on another file (a backing file)";
    else if (header->incompatible & HX_QCOW2_EXTERNAL_DATA)
        why = "its data is in another file";
    else if (header->incompatible & HX_QCOW2_CORRUPT)
        why = "it is marked as corrupt";
    else if (header->incompatible & ~(guint64)KNOWN_FEATURES)
        why = "it has features that helixvm does not know";
    else if (header->encryption)
        why = "it is encrypted";
    else if (header->virtual_size == 0 || header->virtual_size > G_MAXINT64)
        why = "the size that it gives is no disk's";
    if (!why)
        return TRUE;
    g_set_error(error, HX_ERROR, HX_ERROR_FAILED, "the disk cannot be used: %s", why);
    return FALSE;
}
