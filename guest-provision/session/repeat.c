/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Theory of operation.  A probe, in the streaming thread, keeps the last buffer and when it came; a
 * timer of the main context gives it again, which the probe sees as well.  Both hold a reference to
 * what they share: a probe that is being removed may still run. */
#include "guest-provision/session/repeat.h"

struct SessionRepeat {
    GstPad *pad;
    gulong probe;
    guint interval_ms;
    guint timer;

    GMutex lock; /* what follows */
    gboolean ended;
    GstBuffer *last;
    const GstBuffer *again; /* the one that is being given, as a copy of the last */
    gint64 came_at;         /* monotonic, µs */
};

static void clear(void *data)
{
    SessionRepeat *repeat = data;
    gst_object_unref(repeat->pad);
    g_mutex_clear(&repeat->lock);
}

static void release(void *data)
{
    g_atomic_rc_box_release_full(data, clear);
}

/* Its former one is let go without the lock: that may wait for the buffer's owner. */
static void keep(SessionRepeat *repeat, GstBuffer *buffer)
{
    GstBuffer *former = NULL;
    g_mutex_lock(&repeat->lock);
    if (!buffer || buffer != repeat->again) {
        former = repeat->last;
        repeat->last = buffer && !repeat->ended ? gst_buffer_ref(buffer) : NULL;
    }
    repeat->came_at = g_get_monotonic_time();
    g_mutex_unlock(&repeat->lock);
    gst_clear_buffer(&former);
}

static GstPadProbeReturn seen(GstPad *pad, GstPadProbeInfo *info, void *data)
{
    if (GST_PAD_PROBE_INFO_TYPE(info) & GST_PAD_PROBE_TYPE_BUFFER)
        keep(data, GST_PAD_PROBE_INFO_BUFFER(info));
    else if (GST_EVENT_TYPE(GST_PAD_PROBE_INFO_EVENT(info)) == GST_EVENT_CAPS)
        keep(data, NULL);
    return GST_PAD_PROBE_OK;
}

static GQuark again_quark(void)
{
    return g_quark_from_static_string("helixvm-session-again");
}

static void give_again(SessionRepeat *repeat, GstBuffer *buffer)
{
    GstElement *element = gst_pad_get_parent_element(repeat->pad);
    GstBuffer *again = gst_buffer_copy(buffer);
    /* What its memory shows is the buffer's, for as long as that is held. */
    gst_buffer_add_parent_buffer_meta(again, buffer);
    GST_BUFFER_PTS(again) = gst_element_get_current_running_time(element);
    GST_BUFFER_DTS(again) = GST_CLOCK_TIME_NONE;
    gst_mini_object_set_qdata(GST_MINI_OBJECT(again), again_quark(), again, NULL);
    gst_object_unref(element);
    g_mutex_lock(&repeat->lock);
    repeat->again = again;
    g_mutex_unlock(&repeat->lock);
    gst_pad_chain(repeat->pad, again);
    g_mutex_lock(&repeat->lock);
    repeat->again = NULL;
    g_mutex_unlock(&repeat->lock);
}

static gboolean look(void *data)
{
    SessionRepeat *repeat = data;
    g_mutex_lock(&repeat->lock);
    gint64 since_ms = (g_get_monotonic_time() - repeat->came_at) / 1000;
    gboolean due = since_ms >= repeat->interval_ms;
    GstBuffer *buffer = due && repeat->last ? gst_buffer_ref(repeat->last) : NULL;
    g_mutex_unlock(&repeat->lock);
    guint next_ms = due ? repeat->interval_ms : repeat->interval_ms - (guint)since_ms;
    repeat->timer = g_timeout_add(next_ms, look, repeat);
    if (buffer)
        give_again(repeat, buffer);
    gst_clear_buffer(&buffer);
    return G_SOURCE_REMOVE;
}

gboolean session_repeat_gave(GstBuffer *buffer)
{
    return gst_mini_object_get_qdata(GST_MINI_OBJECT(buffer), again_quark()) != NULL;
}

SessionRepeat *session_repeat_new(GstPad *pad, guint interval_ms)
{
    SessionRepeat *repeat = g_atomic_rc_box_new0(SessionRepeat);
    repeat->pad = gst_object_ref(pad);
    repeat->interval_ms = interval_ms;
    g_mutex_init(&repeat->lock);
    repeat->probe =
        gst_pad_add_probe(pad, GST_PAD_PROBE_TYPE_BUFFER | GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM,
                          seen, g_atomic_rc_box_acquire(repeat), release);
    repeat->timer = g_timeout_add(interval_ms, look, repeat);
    return repeat;
}

void session_repeat_free(SessionRepeat *repeat)
{
    if (!repeat)
        return;
    g_source_remove(repeat->timer);
    gst_pad_remove_probe(repeat->pad, repeat->probe);
    g_mutex_lock(&repeat->lock);
    repeat->ended = TRUE;
    g_mutex_unlock(&repeat->lock);
    keep(repeat, NULL);
    release(repeat);
}
