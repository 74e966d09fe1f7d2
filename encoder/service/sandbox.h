/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the service gives up before it takes a guest's frames. */
#pragma once

#include <glib.h>

/* Enter the sandbox, for good, while there is one thread.  All sockets listen already.  Fails as
 * hx_sandbox_enter(). */
gboolean hx_encoder_enter_sandbox(GError **error);
