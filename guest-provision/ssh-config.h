/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A VM for OpenSSH: its section of ssh_config(5).  Pure. */
#pragma once

#include "guest-provision/ssh.h"

/* The section "Host helixvm-VM" that makes ssh(1), scp(1), sftp(1), rsync(1) and editors reach the
 * VM of @login as helixvm does: with its key, by its pinned host key alone, over the connection
 * that the NULL-terminated command @proxy hands over (ProxyUseFdpass).  For g_free.  NULL with
 * HX_ERROR_HOST where a path cannot be written there. */
char *hx_ssh_config(const HxSshLogin *login, const char *const *proxy, GError **error);
