/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The kernel's vhost-vsock: whether a VM can have it. */
#pragma once

#include <glib.h>

/* See that the kernel's vhost-vsock works, and listen on @port of the host's vsock for its guests;
 * VMADDR_PORT_ANY is one that nobody uses.
 * Returns the listening socket, non-blocking and the caller's own, or -1 with HX_ERROR_HOST. */
int hx_kernel_vsock_listen(guint32 port, GError **error);
