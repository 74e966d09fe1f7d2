/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The key of a Helix server, from where no other user sees it. */
#pragma once

#include <glib.h>

/* The key in file @path, or, where that is NULL, in HELIX_API_KEY; for g_free.  It is one word of
 * printable ASCII; in a file, lines may end behind it.  The file is a regular one of the user's
 * that nobody else may read or write.  NULL with HX_ERROR_USAGE (there is no key, or the
 * environment's is none), HX_ERROR_NOT_FOUND, HX_ERROR_CONFIG; no error quotes it. */
char *hx_helix_key(const char *path, GError **error);
