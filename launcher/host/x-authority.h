/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The cookie that admits clients to a private X server. */
#pragma once

#include <glib.h>

/* Write the X authority file @path with a new random MIT-MAGIC-COOKIE-1 that holds for every
 * display, mode 0600.  The layout is that of Xau(3).  Returns the file, the caller's own, by which
 * it can be given to another user even where @path is no longer in safe hands; -1 with
 * HX_ERROR_HOST. */
int hx_x_authority_create(const char *path, GError **error);
