/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The key pair by which helixvm logs in to a guest. */
#pragma once

#include <glib.h>

/* See that the ed25519 private key @path exists, made where it is missing: OpenSSH's format, no
 * passphrase, mode 0600, in a directory of mode 0700 that is made too where it is missing (its
 * parent must exist).  The file appears whole or not at all; of two callers at once, both get the
 * key of the first.
 *
 * @ret_public_key, where not NULL, gets "ssh-ed25519 BASE64 helixvm" without a newline (one entry
 * of sshd(8)'s AUTHORIZED_KEYS FILE FORMAT), for g_free.  HX_ERROR_CONFIG where @path is there but
 * is no such key or others may read it; HX_ERROR_HOST where it cannot be written.  Any thread. */
gboolean hx_identity_ensure(const char *path, char **ret_public_key, GError **error);
