/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guest-provision/vsockenc/settings.h"

#include <stddef.h>

#define READY GST_PARAM_MUTABLE_READY
#define PLAYING GST_PARAM_MUTABLE_PLAYING
#define MEMBER(name) offsetof(HxSettings, name)

/* By property id, from 1 on. */
static const struct {
    const char *name, *nick, *blurb;
    guint least, most, initial; /* most is 0 where it is a string, NULL at first */
    GParamFlags flags;
    gsize offset;
} settings[HX_SETTINGS_END] = {
    [1] = {"cid", "CID", "vsock context ID of the frame-export service (2: the host)", 0, G_MAXUINT,
           2, READY, MEMBER(cid)},
    [2] = {"port", "Port", "vsock port of the frame-export service", 0, G_MAXUINT, HXFR_PORT, READY,
           MEMBER(port)},
    [3] = {"tcp-host", "TCP host", "Name or address of the service, instead of vsock", 0, 0, 0,
           READY, MEMBER(tcp_host)},
    [4] = {"tcp-port", "TCP port", "TCP port of the service, where tcp-host is set", 1, 65535,
           15937, READY, MEMBER(tcp_port)},
    [5] = {"socket-path", "Socket path", "Unix socket of the service, instead of vsock and TCP", 0,
           0, 0, READY, MEMBER(socket_path)},
    [6] = {"bitrate", "Bitrate",
           "Bitrate in kbit/s, of which less than 10 is taken for 10 (0: the service's own)", 0,
           HX_BITRATE_MOST, 0, PLAYING, MEMBER(bitrate)},
    [7] = {"keyframe-interval", "Keyframe interval",
           "A keyframe at least every so many coded frames (0: as the service likes)", 0, G_MAXINT,
           0, PLAYING, MEMBER(keyframe_interval)},
    [8] = {"timeout", "Timeout",
           "Longest wait, in ms, for a connection, for a frame to be drawn, and for its answer", 1,
           G_MAXINT, 5000, READY, MEMBER(timeout)},
    [9] = {"reconnect-timeout", "Reconnect timeout",
           "How long, in ms, a service whose connection broke is tried again, before that is an "
           "error (0: it is one at once)",
           0, G_MAXINT, 5000, READY, MEMBER(reconnect_timeout)},
    [10] = {"statistics-interval", "Statistics interval",
            "Post the statistics as an element message every so many ms, as frames come, and when "
            "their source changes (0: never)",
            0, G_MAXINT, 1000, PLAYING, MEMBER(statistics_interval)},
};

void hx_settings_install(GObjectClass *object_class)
{
    const GParamFlags common = G_PARAM_READWRITE | G_PARAM_CONSTRUCT | G_PARAM_STATIC_STRINGS;
    for (guint id = 1; id < HX_SETTINGS_END; id++) {
        const char *name = settings[id].name, *nick = settings[id].nick,
                   *blurb = settings[id].blurb;
        const GParamFlags flags = common | settings[id].flags;
        g_object_class_install_property(
            object_class, id,
            settings[id].most ? g_param_spec_uint(name, nick, blurb, settings[id].least,
                                                  settings[id].most, settings[id].initial, flags)
                              : g_param_spec_string(name, nick, blurb, NULL, flags));
    }
}

gboolean hx_settings_set(HxSettings *self, guint id, const GValue *value)
{
    if (id < 1 || id >= HX_SETTINGS_END)
        return FALSE;
    void *member = (char *)self + settings[id].offset;
    if (settings[id].most) {
        *(guint *)member = g_value_get_uint(value);
    } else {
        g_free(*(char **)member);
        *(char **)member = g_value_dup_string(value);
    }
    return TRUE;
}

gboolean hx_settings_get(const HxSettings *self, guint id, GValue *value)
{
    if (id < 1 || id >= HX_SETTINGS_END)
        return FALSE;
    const void *member = (const char *)self + settings[id].offset;
    if (settings[id].most)
        g_value_set_uint(value, *(const guint *)member);
    else
        g_value_set_string(value, *(char *const *)member);
    return TRUE;
}

void hx_settings_clear(HxSettings *self)
{
    g_clear_pointer(&self->tcp_host, g_free);
    g_clear_pointer(&self->socket_path, g_free);
}
