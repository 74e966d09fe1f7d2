/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Checksums of files, as text "sha256:HEX" or "sha512:HEX", and the lists that publishers write.
 * Pure. */
#pragma once

#include <glib.h>

/* The checksum of @type (G_CHECKSUM_SHA256 or G_CHECKSUM_SHA512) with the digits @hex, in any case;
 * for g_free.  HX_ERROR_USAGE where they are none. */
char *hx_checksum_new(GChecksumType type, const char *hex, GError **error);

/* What computes @checksum, which is one of hx_checksum_new()'s. */
GChecksumType hx_checksum_type(const char *checksum);

/* The checksum of the file called @name in the list @text of @length bytes, for g_free.  Known are
 * the lists of sha256sum(1) and sha512sum(1), of BSD ("SHA256 (NAME) = HEX", as Fedora's CHECKSUM
 * has them, within a signature or not), and a single checksum without a name.  Of a file that is
 * there with both, SHA512 counts.  HX_ERROR_PROTOCOL where it is not in there, or twice with
 * different checksums. */
char *hx_checksum_find(const char *text, gsize length, const char *name, GError **error);
