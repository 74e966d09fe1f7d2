/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Ports of the host's 127.0.0.1: whether they are free, who has them, and listening on one. */
#pragma once

#include <glib.h>

/* Why nobody without privileges could listen on @port (TCP, or UDP where @udp) of 127.0.0.1 now:
 * "process 12 (nginx) has it", as far as the caller may know; for g_free.  NULL where somebody
 * could. */
char *hx_port_objection(gboolean udp, guint16 port);

/* A socket that listens on TCP port @port of 127.0.0.1, close-on-exec and the caller's, or a
 * negative errno. */
int hx_port_listen(guint16 port);

/* The inode of the socket that listens on @port in @table, a text like /proc/net/tcp (or udp, where
 * @udp; tcp6, udp6; proc_pid_net(5)); 0 where there is none. */
guint64 hx_port_listener(const char *table, gboolean udp, guint16 port);
