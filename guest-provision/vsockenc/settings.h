/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The properties of vsockenc that can be set. */
#pragma once

#include "guest-provision/vsockenc/frame-client.h"

#include <gst/gst.h>

typedef struct {
    guint cid, port, tcp_port;
    char *tcp_host, *socket_path;
    guint bitrate;             /* kbit/s; 0: the service's own */
    guint keyframe_interval;   /* frames; 0: as the service likes */
    guint timeout;             /* ms */
    guint reconnect_timeout;   /* ms */
    guint statistics_interval; /* ms; 0: no messages */
} HxSettings;

/* kbit/s: what the service takes; a lower bitrate is raised to it. */
enum { HX_BITRATE_LEAST = 10, HX_BITRATE_MOST = 1000000 };

/* The first property id that is not a setting's. */
enum { HX_SETTINGS_END = 11 };

/* Install them, from id 1 on.  Each has its default set when an object is made. */
void hx_settings_install(GObjectClass *object_class);

/* As GObject's set_property and get_property; FALSE where @id is not a setting's.  The caller sees
 * to it that only one thread is in these functions. */
gboolean hx_settings_set(HxSettings *settings, guint id, const GValue *value);
gboolean hx_settings_get(const HxSettings *settings, guint id, GValue *value);

void hx_settings_clear(HxSettings *settings);
