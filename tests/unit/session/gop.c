/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guest-provision/session/gop.h"

#include <string.h>

static void add(SessionGop *gop, guint64 pts, gboolean is_keyframe, gsize size)
{
    g_autofree guint8 *data = g_malloc(size);
    memset(data, (int)pts, size);
    HxStreamFrame frame = {.codec = HX_STREAM_CODEC_H264,
                           .flags = is_keyframe ? HX_STREAM_FRAME_KEY : 0,
                           .pts_us = pts,
                           .width = 640,
                           .height = 480,
                           .data = data,
                           .size = size};
    g_autoptr(GBytes) message = hx_stream_encode_frame(&frame);
    session_gop_add(gop, message, is_keyframe);
    /* What others get is as it was. */
    HxStreamMessage sent;
    g_assert_true(
        hx_stream_decode(g_bytes_get_data(message, NULL), g_bytes_get_size(message), &sent, NULL));
    g_assert_cmpint(sent.frame.flags, ==, frame.flags);
}

static void assert_replays(const SessionGop *gop, guint index, guint64 pts, int flags, gsize size)
{
    HxStreamMessage message;
    g_autoptr(GBytes) bytes = session_gop_replay(gop, index);
    g_assert_true(
        hx_stream_decode(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), &message, NULL));
    g_assert_cmpint(message.type, ==, HX_STREAM_VIDEO_FRAME);
    g_assert_cmpint(message.frame.flags, ==, flags);
    g_assert_cmpuint(message.frame.pts_us, ==, pts);
    g_assert_cmpuint(message.frame.size, ==, size);
    g_assert_cmpint(message.frame.data[size - 1], ==, (int)pts);
}

static void test_group(void)
{
    SessionGop *gop = session_gop_new();
    add(gop, 1, FALSE, 10); /* not decodable by itself */
    g_assert_cmpuint(session_gop_size(gop), ==, 0);
    add(gop, 2, TRUE, 100);
    add(gop, 3, FALSE, 10);
    g_assert_cmpuint(session_gop_size(gop), ==, 2);
    assert_replays(gop, 0, 2, HX_STREAM_FRAME_KEY | HX_STREAM_FRAME_REPLAY, 100);
    assert_replays(gop, 1, 3, HX_STREAM_FRAME_REPLAY, 10);
    add(gop, 4, TRUE, 50);
    g_assert_cmpuint(session_gop_size(gop), ==, 1);
    assert_replays(gop, 0, 4, HX_STREAM_FRAME_KEY | HX_STREAM_FRAME_REPLAY, 50);
    session_gop_clear(gop);
    add(gop, 5, FALSE, 10);
    g_assert_cmpuint(session_gop_size(gop), ==, 0);
    session_gop_free(gop);
}

static void test_bounds(void)
{
    SessionGop *gop = session_gop_new();
    add(gop, 0, TRUE, 10);
    for (guint64 i = 1; i < SESSION_GOP_FRAMES_MAX; i++)
        add(gop, i % 100, FALSE, 10);
    g_assert_cmpuint(session_gop_size(gop), ==, SESSION_GOP_FRAMES_MAX);
    add(gop, 1, FALSE, 10);
    add(gop, 2, FALSE, 10);
    g_assert_cmpuint(session_gop_size(gop), ==, 0);

    add(gop, 1, TRUE, SESSION_GOP_BYTES_MAX / 2);
    add(gop, 2, FALSE, SESSION_GOP_BYTES_MAX / 4);
    g_assert_cmpuint(session_gop_size(gop), ==, 2);
    add(gop, 3, FALSE, SESSION_GOP_BYTES_MAX / 4);
    add(gop, 4, FALSE, 10);
    g_assert_cmpuint(session_gop_size(gop), ==, 0);
    add(gop, 5, TRUE, SESSION_GOP_BYTES_MAX);
    g_assert_cmpuint(session_gop_size(gop), ==, 0);
    add(gop, 6, TRUE, 10);
    g_assert_cmpuint(session_gop_size(gop), ==, 1);
    session_gop_free(gop);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/gop/group", test_group);
    g_test_add_func("/gop/bounds", test_bounds);
    return g_test_run();
}
