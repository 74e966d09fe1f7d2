/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The sessions of a provisioned guest, as its systemd runs them. */
#pragma once

#include "guest-provision/ssh.h"

/* See that session @name runs, started where it does not, and tell the vsock port on which it
 * serves its stream.  HX_ERROR_USAGE for a bad name, HX_ERROR_NOT_FOUND where there is no such
 * session (the message lists those that are there) or the guest is not provisioned,
 * HX_ERROR_NO_FRAMES with its last log lines where it does not start. */
gboolean hx_guest_session_start(HxSsh *ssh, const char *name, guint32 *ret_port, GError **error);

/* The state of session @name and its last log lines, for people; for g_free.  NULL with @error
 * where the guest does not answer. */
char *hx_guest_session_examine(HxSsh *ssh, const char *name, GError **error);
