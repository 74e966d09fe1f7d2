/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Ports of the host's 127.0.0.1 that lead into the guest, as the key network.forward lists them. */
#pragma once

#include <glib.h>

typedef struct {
    gboolean udp; /* else TCP */
    guint16 host_port, guest_port;
} HxForward;

/* The forwards that @value, "tcp:8080:80;udp:5300:53", lists (host port, guest port), as HxForward,
 * for g_ptr_array_unref; none where it is empty.  NULL where it is wrong: @ret_objection, for
 * g_free, says what it must be. */
GPtrArray *hx_forwards_parse(const char *value, char **ret_objection);

/* See that each host port of @forwards could be taken now.  HX_ERROR_HOST names the port that
 * cannot, and the process that has it, as far as the caller may know. */
gboolean hx_forwards_check(const GPtrArray *forwards, GError **error);
