/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where helixvm keeps images and VMs, and where the sockets of running VMs are. */
#pragma once

#include <glib.h>

/* The directory of images and VMs, which may be missing: $HELIXVM_STATE_DIR, else /var/lib/helixvm
 * for root, else helixvm in the user's data directory ($XDG_DATA_HOME).  Free with g_free.  NULL
 * with HX_ERROR_HOST where it is missing and cannot be made, or is somebody else's. */
char *hx_state_directory(GError **error);

/* The same, made where it is missing.  Others may pass through it (0711), because the system
 * libvirt runs QEMU as a user of its own; what is secret in it lies in a directory of mode 0700. */
char *hx_create_state_directory(GError **error);

/* The directory of sockets, which does not survive a reboot: $HELIXVM_RUNTIME_DIR, else
 * /run/helixvm for root, else helixvm in the user's runtime directory ($XDG_RUNTIME_DIR). Otherwise
 * like hx_create_state_directory.  Socket paths have to fit sockaddr_un: keep what is below it
 * short. */
char *hx_runtime_directory(GError **error);

/* The deepest part of the absolute @path that exists.  Free with g_free. */
char *hx_nearest_directory(const char *path);
