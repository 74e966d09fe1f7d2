/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the device gives up before it serves a guest. */
#pragma once

#include <glib.h>

/* Enter the sandbox, for good.  All sockets listen already; @paths, ended by NULL, are those of
 * them that this process removes when it ends.  Fails as hx_sandbox_enter(). */
gboolean hx_vsock_enter_sandbox(const char *const *paths, GError **error);
