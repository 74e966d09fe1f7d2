/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What helixvm-encoder's options do to a stream. */
#include <glib.h>

#include "launcher/base/fd.h"
#include "tests/fakes/encoder-client.h"

#define WIDTH 640
#define HEIGHT 480

static GByteArray *request_frame(int fd, guint16 session_id, guint frame, gboolean *ret_keyframe)
{
    const HxfrFrameRequest request = {
        .width = WIDTH, .height = HEIGHT, .format = HXFR_FORMAT_XR24, .stride = WIDTH * 4};
    GByteArray *unit = g_byte_array_new();
    test_send_pattern(fd, session_id, 0, &request, frame);
    *ret_keyframe = test_expect_frame(fd, session_id, unit).is_keyframe;
    return unit;
}

/* The slices (ITU-T H.264 table 7-1: NAL unit types 1 and 5) of an access unit in Annex B. */
static guint count_slices(const GByteArray *unit)
{
    guint slices = 0;
    for (guint i = 0; i + 3 < unit->len; i++) {
        const guint8 *p = unit->data + i;
        if (p[0] == 0 && p[1] == 0 && p[2] == 1)
            slices += (p[3] & 0x1f) == 1 || (p[3] & 0x1f) == 5;
    }
    return slices;
}

/* The slices of each of two frames with --threads=@threads. */
static void assert_slices(const char *option, guint slices)
{
    TestService service;
    test_service_start(&service, (const char *const[]){option, NULL});
    hx_autofd int fd = test_connect(&service);
    for (guint frame = 0; frame < 2; frame++) {
        gboolean is_keyframe;
        g_autoptr(GByteArray) unit = request_frame(fd, 1, frame, &is_keyframe);
        g_assert_cmpuint(count_slices(unit), ==, slices);
    }
    test_service_stop(&service);
}

static void test_threads(void)
{
    assert_slices("--threads=1", 1);
    assert_slices("--threads=3", 3);
}

static void test_keyframe_interval(void)
{
    TestService service;
    test_service_start(&service, (const char *const[]){"--keyframe-interval=4", NULL});
    hx_autofd int fd = test_connect(&service);
    for (guint frame = 0; frame < 13; frame++) {
        gboolean is_keyframe;
        g_autoptr(GByteArray) unit = request_frame(fd, 1, 0, &is_keyframe);
        g_assert_cmpint(is_keyframe, ==, frame % 4 == 0);
    }
    test_service_stop(&service);
}

static void test_max_sessions(void)
{
    TestService service;
    test_service_start(&service, (const char *const[]){"--max-sessions=2", NULL});
    hx_autofd int fd = test_connect(&service);
    hx_autofd int other = test_connect(&service);
    const HxfrFrameRequest request = {
        .width = 64, .height = 64, .format = HXFR_FORMAT_XR24, .stride = 256};
    test_send_pattern(fd, 1, 0, &request, 0);
    test_expect_frame(fd, 1, NULL);
    test_send_pattern(other, 1, 0, &request, 0);
    test_expect_frame(other, 1, NULL);
    test_send_pattern(fd, 2, 0, &request, 0);
    test_expect_error(fd, 2, HXFR_E_INTERNAL);
    test_service_stop(&service);
}

/* The statistics say what the process was given. */
static void test_told(void)
{
    TestService service;
    test_service_start(&service, (const char *const[]){"--preset=ultrafast", "--threads=2",
                                                       "--max-sessions=3", NULL});
    g_autoptr(JsonNode) root = test_service_statistics(&service);
    JsonObject *all = json_node_get_object(root);
    g_assert_cmpstr(json_object_get_string_member(all, "preset"), ==, "ultrafast");
    g_assert_cmpint(json_object_get_int_member(all, "threads"), ==, 2);
    g_assert_cmpint(json_object_get_int_member(all, "max_sessions"), ==, 3);
    test_service_stop(&service);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/settings/threads", test_threads);
    g_test_add_func("/settings/keyframe-interval", test_keyframe_interval);
    g_test_add_func("/settings/max-sessions", test_max_sessions);
    g_test_add_func("/settings/told", test_told);
    return g_test_run();
}
