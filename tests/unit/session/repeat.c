/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What an element's sink pad is given where its source falls silent. */
#include "guest-provision/session/repeat.h"

#include <gst/app/gstappsrc.h>
#include <string.h>

enum { INTERVAL = 100 }; /* ms */

typedef struct {
    GstElement *pipeline, *source, *sink;
    GstPad *pad;
    SessionRepeat *repeat;

    GMutex lock;
    GQueue came; /* of GstBuffer */
} Fixture;

static void handed_off(GstElement *sink, GstBuffer *buffer, GstPad *pad, void *data)
{
    Fixture *fixture = data;
    g_mutex_lock(&fixture->lock);
    g_queue_push_tail(&fixture->came, gst_buffer_ref(buffer));
    g_mutex_unlock(&fixture->lock);
}

static void set_up(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    fixture->pipeline = gst_parse_launch("appsrc name=source format=time is-live=true "
                                         "caps=video/x-one ! fakesink "
                                         "name=sink sync=false signal-handoffs=true "
                                         "enable-last-sample=false",
                                         &error);
    g_assert_no_error(error);
    fixture->source = gst_bin_get_by_name(GST_BIN(fixture->pipeline), "source");
    fixture->sink = gst_bin_get_by_name(GST_BIN(fixture->pipeline), "sink");
    fixture->pad = gst_element_get_static_pad(fixture->sink, "sink");
    g_mutex_init(&fixture->lock);
    g_signal_connect(fixture->sink, "handoff", G_CALLBACK(handed_off), fixture);
    fixture->repeat = session_repeat_new(fixture->pad, INTERVAL);
    gst_element_set_state(fixture->pipeline, GST_STATE_PLAYING);
}

static void tear_down(Fixture *fixture, gconstpointer data)
{
    session_repeat_free(fixture->repeat);
    gst_element_set_state(fixture->pipeline, GST_STATE_NULL);
    gst_object_unref(fixture->pad);
    gst_object_unref(fixture->sink);
    gst_object_unref(fixture->source);
    gst_object_unref(fixture->pipeline);
    g_queue_clear_full(&fixture->came, (GDestroyNotify)gst_buffer_unref);
    g_mutex_clear(&fixture->lock);
}

/* The next that came, for gst_buffer_unref; NULL where none does within @ms. */
static GstBuffer *next(Fixture *fixture, int ms)
{
    gint64 end = g_get_monotonic_time() + ms * 1000;
    GstBuffer *buffer = NULL;
    do {
        while (g_main_context_iteration(NULL, FALSE))
            ;
        g_mutex_lock(&fixture->lock);
        buffer = g_queue_pop_head(&fixture->came);
        g_mutex_unlock(&fixture->lock);
        if (!buffer)
            g_usleep(1000);
    } while (!buffer && g_get_monotonic_time() < end);
    return buffer;
}

static void note_end(void *data, GstMiniObject *buffer)
{
    *(gboolean *)data = TRUE;
}

/* Push a buffer that says @text; *ret_ended becomes TRUE with its end. */
static void push(Fixture *fixture, const char *text, gboolean *ret_ended)
{
    GstBuffer *buffer = gst_buffer_new_memdup(text, strlen(text) + 1);
    GST_BUFFER_PTS(buffer) = 0;
    if (ret_ended) {
        *ret_ended = FALSE;
        gst_mini_object_weak_ref(GST_MINI_OBJECT(buffer), note_end, ret_ended);
    }
    g_assert_cmpint(gst_app_src_push_buffer(GST_APP_SRC(fixture->source), buffer), ==, GST_FLOW_OK);
}

/* The next that came says @text; its timestamp. */
static GstClockTime expect(Fixture *fixture, const char *text)
{
    GstBuffer *buffer = next(fixture, 20000);
    g_assert_nonnull(buffer);
    g_assert_cmpint(gst_buffer_memcmp(buffer, 0, text, strlen(text) + 1), ==, 0);
    GstClockTime pts = GST_BUFFER_PTS(buffer);
    g_assert_cmpint(session_repeat_gave(buffer), ==, pts > 0);
    gst_buffer_unref(buffer);
    return pts;
}

static void test_silence(Fixture *fixture, gconstpointer data)
{
    g_assert_null(next(fixture, 3 * INTERVAL)); /* of what? */
    push(fixture, "first", NULL);
    g_assert_cmpuint(expect(fixture, "first"), ==, 0);
    GstClockTime before = 0;
    for (int i = 0; i < 3; i++) {
        GstClockTime pts = expect(fixture, "first");
        /* By the clock: an interval at least from one to the next. */
        g_assert_cmpuint(pts, >=, before + (INTERVAL - 1) * GST_MSECOND);
        before = pts;
    }
    GstClockTime now = gst_element_get_current_running_time(fixture->sink);
    g_assert_cmpuint(before, <=, now);
    g_assert_cmpuint(now, <, before + 20 * GST_SECOND);
}

static void test_next_picture(Fixture *fixture, gconstpointer data)
{
    gboolean ended;
    push(fixture, "first", &ended);
    expect(fixture, "first");
    expect(fixture, "first");
    g_assert_false(ended);
    push(fixture, "second", NULL);
    /* A repetition may have come just before it. */
    GstBuffer *buffer;
    do {
        buffer = next(fixture, 20000);
        g_assert_nonnull(buffer);
    } while (gst_buffer_memcmp(buffer, 0, "first", 6) == 0 && (gst_buffer_unref(buffer), TRUE));
    gst_buffer_unref(buffer);
    g_assert_true(ended); /* the compositor has it back */
    expect(fixture, "second");
}

static void test_frames_come(Fixture *fixture, gconstpointer data)
{
    char text[16];
    /* More often than the interval: each is seen once.  A slow machine may miss one or the other.
     */
    int repeated = 0;
    for (int i = 0; i < 30; i++) {
        g_snprintf(text, sizeof text, "%d", i);
        push(fixture, text, NULL);
        expect(fixture, text);
        GstBuffer *again = next(fixture, INTERVAL / 5);
        if (again) {
            repeated++;
            gst_buffer_unref(again);
        }
    }
    g_assert_cmpint(repeated, <, 5);
}

static void test_kept_once(Fixture *fixture, gconstpointer data)
{
    push(fixture, "still", NULL);
    expect(fixture, "still");
    for (int i = 0; i < 4; i++) {
        GstBuffer *buffer = next(fixture, 20000);
        g_assert_nonnull(buffer);
        /* It holds the picture itself, and no repetition of it. */
        GstParentBufferMeta *parent = gst_buffer_get_parent_buffer_meta(buffer);
        g_assert_nonnull(parent);
        g_assert_null(gst_buffer_get_parent_buffer_meta(parent->buffer));
        gst_buffer_unref(buffer);
    }
}

static void test_other_caps(Fixture *fixture, gconstpointer data)
{
    push(fixture, "small", NULL);
    expect(fixture, "small");
    GstCaps *caps = gst_caps_new_empty_simple("video/x-other");
    GstPad *source = gst_pad_get_peer(fixture->pad);
    g_assert_true(gst_pad_push_event(source, gst_event_new_caps(caps)));
    gst_object_unref(source);
    gst_caps_unref(caps);
    GstBuffer *buffer;
    while ((buffer = next(fixture, 0))) /* what came before */
        gst_buffer_unref(buffer);
    g_assert_null(next(fixture, 3 * INTERVAL));
    push(fixture, "large", NULL);
    expect(fixture, "large");
    expect(fixture, "large");
}

static void test_end(Fixture *fixture, gconstpointer data)
{
    gboolean ended;
    push(fixture, "last", &ended);
    expect(fixture, "last");
    g_clear_pointer(&fixture->repeat, session_repeat_free);
    GstBuffer *buffer;
    while ((buffer = next(fixture, 0)))
        gst_buffer_unref(buffer);
    g_assert_true(ended);
    push(fixture, "after", NULL);
    expect(fixture, "after");
    g_assert_null(next(fixture, 3 * INTERVAL));
}

int main(int argc, char **argv)
{
    gst_init(&argc, &argv);
    g_test_init(&argc, &argv, NULL);
    g_test_add("/repeat/silence", Fixture, NULL, set_up, test_silence, tear_down);
    g_test_add("/repeat/next-picture", Fixture, NULL, set_up, test_next_picture, tear_down);
    g_test_add("/repeat/frames-come", Fixture, NULL, set_up, test_frames_come, tear_down);
    g_test_add("/repeat/kept-once", Fixture, NULL, set_up, test_kept_once, tear_down);
    g_test_add("/repeat/other-caps", Fixture, NULL, set_up, test_other_caps, tear_down);
    g_test_add("/repeat/end", Fixture, NULL, set_up, test_end, tear_down);
    return g_test_run();
}
