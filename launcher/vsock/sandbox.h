/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the device gives up before it serves a guest.  Theory of operation in sandbox.c. */
#pragma once

#include <glib.h>

/* Close every descriptor but the standard ones and the @count of @keep (-1: none). */
void hx_sandbox_close_others(const int *keep, unsigned count);

/* Enter the sandbox, for good.  All sockets listen already; @paths, ended by NULL, are those of
 * them that this process removes when it ends (their directories stay open to that alone).  Fails
 * with HX_ERROR_HOST.  Where the kernel has no Landlock, that part is left out and the log says
 * so. */
gboolean hx_sandbox_enter(const char *const *paths, GError **error);
