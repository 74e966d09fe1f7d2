/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a qcow2 file on the disk says of itself.  A disk is QEMU's to write, and a QEMU that its
 * guest has taken over may write what it likes: it is looked at here before qemu-img, which would
 * open each file that it names, does so with our rights. */
#pragma once

#include "launcher/disk/qcow2-header.h"

/* Read the header of the file @path, which is not followed where it is a link, and the name of its
 * backing file: *@ret_backing, for g_free, NULL where it has none.  FALSE where it is no readable
 * qcow2 file.  Takes no lock: QEMU may have it open. */
gboolean hx_qcow2_read(const char *path, HxQcow2Header *ret_header, char **ret_backing);

/* As hx_qcow2_read, of a file that qemu-img is to open: HX_ERROR_CONFIG where it is made of other
 * files than itself and a backing file, or cannot be used as it is. */
gboolean hx_qcow2_read_own(const char *path, HxQcow2Header *ret_header, char **ret_backing,
                           GError **error);
