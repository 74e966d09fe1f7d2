/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The cookie that admits clients to a private X server. */
#pragma once

#include <glib.h>
#include <sys/types.h>

/* Write the X authority file @path with a new random MIT-MAGIC-COOKIE-1 that holds for every
 * display, mode 0600, owned by @owner.  The layout is that of Xau(3).  HX_ERROR_HOST. */
gboolean hx_x_authority_create(const char *path, uid_t owner, GError **error);
