/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guest-provision/session/gop.h"

struct SessionGop {
    GPtrArray *messages; /* GBytes, as they were sent; none before a keyframe */
    gsize bytes;
};

SessionGop *session_gop_new(void)
{
    SessionGop *gop = g_new0(SessionGop, 1);
    gop->messages = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    return gop;
}

void session_gop_free(SessionGop *gop)
{
    if (!gop)
        return;
    g_ptr_array_unref(gop->messages);
    g_free(gop);
}

void session_gop_clear(SessionGop *gop)
{
    g_ptr_array_set_size(gop->messages, 0);
    gop->bytes = 0;
}

void session_gop_add(SessionGop *gop, GBytes *message, gboolean is_keyframe)
{
    gsize size = g_bytes_get_size(message);
    if (is_keyframe)
        session_gop_clear(gop);
    else if (!gop->messages->len)
        return;
    if (gop->messages->len == SESSION_GOP_FRAMES_MAX || gop->bytes + size > SESSION_GOP_BYTES_MAX) {
        session_gop_clear(gop);
        return;
    }
    g_ptr_array_add(gop->messages, g_bytes_ref(message));
    gop->bytes += size;
}

guint session_gop_size(const SessionGop *gop)
{
    return gop->messages->len;
}

GBytes *session_gop_replay(const SessionGop *gop, guint index)
{
    return hx_stream_frame_as_replay(gop->messages->pdata[index]);
}
