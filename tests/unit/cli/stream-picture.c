/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Keyframes against what their messages announce. */
#include "cli/stream-picture.h"

#include <string.h>

/* Constrained Baseline at level 3.0, 640x480, with its start code; x264 made it. */
static const guint8 good[] = {0x00, 0x00, 0x00, 0x01, 0x67, 0x42, 0xc0, 0x1e, 0xd9, 0x00, 0xa0,
                              0x3d, 0xb0, 0x11, 0x00, 0x00, 0x03, 0x00, 0x01, 0x00, 0x00, 0x03,
                              0x00, 0x32, 0x0f, 0x16, 0x2e, 0x48, 0x00, 0x00, 0x01, 0x68};
static const guint8 cut[] = {0, 0, 0, 1, 0x67, 0x42, 0xc0, 0x1e};
static const guint8 none[] = {0, 0, 0, 1, 0x65, 0x88};

static const char *look(HxStreamPicture *picture, const guint8 *data, gsize size, int flags,
                        guint16 width)
{
    HxStreamFrame frame = {
        .flags = flags, .width = width, .height = 480, .data = data, .size = size};
    return hx_stream_picture_look(picture, &frame);
}

static void test_picture(void)
{
    HxStreamPicture picture = {};
    g_assert_null(look(&picture, good, sizeof good, HX_STREAM_FRAME_KEY, 640));
    g_assert_true(picture.known);
    g_assert_cmpuint(picture.sps.width, ==, 640);
    g_assert_cmpuint(picture.sps.height, ==, 480);
    g_assert_cmpuint(picture.sps.level_idc, ==, 30);
    /* What is no keyframe needs none. */
    g_assert_null(look(&picture, none, sizeof none, 0, 640));
    g_assert_true(picture.known);
    /* Said once, until it is another fault. */
    const char *said = look(&picture, good, sizeof good, HX_STREAM_FRAME_KEY, 642);
    g_assert_nonnull(said);
    g_assert_nonnull(strstr(said, "as 642x480, but"));
    g_assert_nonnull(strstr(said, "says 640x480"));
    g_assert_null(look(&picture, good, sizeof good, HX_STREAM_FRAME_KEY, 642));
    said = look(&picture, none, sizeof none, HX_STREAM_FRAME_KEY, 640);
    g_assert_nonnull(said);
    g_assert_nonnull(strstr(said, "has no"));
    g_assert_false(picture.known);
    said = look(&picture, cut, sizeof cut, HX_STREAM_FRAME_KEY, 640);
    g_assert_nonnull(said);
    g_assert_nonnull(strstr(said, "cannot be read"));
    g_assert_null(look(&picture, good, sizeof good, HX_STREAM_FRAME_KEY, 640));
    g_assert_true(picture.known);
    hx_stream_picture_clear(&picture);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/stream-picture/picture", test_picture);
    return g_test_run();
}
