/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the parts of the SSH client share. */
#pragma once

#include <libssh/libssh.h>
#include <libssh/sftp.h>

#include "guest-provision/deadline.h"
#include "guest-provision/ssh.h"

struct HxSsh {
    ssh_session session; /* owns the socket */
    sftp_session sftp;   /* NULL until the first upload */
    gboolean no_sftp;    /* the guest has none */
    HxDeadline *deadline;
    guint timeout; /* of the running call, for its message */
    char *vm;
};

/* Begin a call that may take @timeout seconds (0: any time). */
void hx_ssh_begin(HxSsh *ssh, guint timeout);

/* Set @error to why @what ("logging in") failed: the interrupt, the deadline, a lost connection, or
 * with @code what libssh says.  Returns FALSE. */
gboolean hx_ssh_failed(HxSsh *ssh, int code, const char *what, GError **error);

/* See that ssh->sftp is there.  FALSE with @error where the connection is lost; TRUE with
 * ssh->no_sftp where the guest has none. */
gboolean hx_ssh_start_sftp(HxSsh *ssh, GError **error);

/* Whether the file system that @path is to be in has no room: SFTP 3 has one word for most things,
 * and this is what users meet.  With ssh->sftp alone. */
gboolean hx_ssh_is_disk_full(HxSsh *ssh, const char *path);
