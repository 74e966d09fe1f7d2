/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The header of a qcow2 file (QEMU's docs/interop/qcow2), read without opening what it names. Pure.
 */
#pragma once

#include <glib.h>

/* As much as hx_qcow2_header_parse() ever looks at, bytes. */
#define HX_QCOW2_HEADER_SIZE 104

typedef struct {
    guint32 version;
    guint64 virtual_size;   /* bytes */
    guint64 backing_offset; /* where in the file the backing file's name is; 0: none */
    guint32 backing_size;   /* its length, bytes */
    guint32 encryption;     /* 0: none */
    guint64 incompatible;   /* features that a reader has to know; HX_QCOW2_… and others */
} HxQcow2Header;

#define HX_QCOW2_CORRUPT (1u << 1)
#define HX_QCOW2_EXTERNAL_DATA (1u << 2)

/* Read the first @length bytes of a file.  FALSE where they are not the start of a qcow2 file of
 * version 2 or 3. */
gboolean hx_qcow2_header_parse(const guint8 *data, gsize length, HxQcow2Header *ret_header);

/* Whether the file may be used as it comes from a stranger: it is made of nothing but itself, not
 * encrypted, not marked as damaged, and has no feature that is not known here.  HX_ERROR_FAILED. */
gboolean hx_qcow2_header_check_alone(const HxQcow2Header *header, GError **error);
