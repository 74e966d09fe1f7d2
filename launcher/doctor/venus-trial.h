/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whether virglrenderer can serve Vulkan to a guest. */
#pragma once

#include <glib.h>

/* Start virglrenderer with Venus and its render server, make a context there, and ask Vulkan for
 * its first device.  Returns what was found, for g_free, or NULL with HX_ERROR_HOST.  Call it in a
 * process that does nothing else: the library may abort, and what it starts ends with the process.
 */
char *hx_venus_try(GError **error);
