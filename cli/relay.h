/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bytes between a program's pipes and a connection. */
#pragma once

#include <gio/gio.h>

/* Pass what comes on @in to the connected stream socket @peer, and what comes from there to @out,
 * neither direction waiting for the other, with no more than 64 KiB of each held.  The end of @in
 * is passed on as the end of what @peer is sent, shutdown(2), and @peer may read no more while it
 * still sends.  Returns TRUE once @peer has sent all and it is written, where nobody reads @out any
 * more, or when @cancel, which may be NULL, is cancelled; FALSE with HX_ERROR_PROTOCOL where the
 * connection broke.  @peer becomes non-blocking; @in and @out stay as they are. */
gboolean hx_relay(int in, int out, int peer, GCancellable *cancel, GError **error);
