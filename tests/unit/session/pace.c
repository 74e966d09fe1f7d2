/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How many frames of a source pass. */
#include "guest-provision/session/pace.h"

/* Of a source of @source frames in 10 s, from @start on, where @fps a second are asked for. */
static int passed(SessionPace *pace, GstClockTime start, int source, int fps)
{
    int count = 0;
    for (int i = 0; i < source; i++)
        count += session_pace_passes(pace, start + i * 10 * GST_SECOND / source, fps);
    return count;
}

/* As many as asked for, or a ninth more: each a tenth of its time early. */
static void assert_passed(int source, int fps)
{
    SessionPace pace = {.due = GST_CLOCK_TIME_NONE};
    int count = passed(&pace, 3 * GST_SECOND, source, fps);
    g_assert_cmpint(count, >=, MIN(source, fps * 10) - 1);
    g_assert_cmpint(count, <=, fps * 100 / 9 + 1);
}

static void test_rate(void)
{
    for (int fps = 1; fps <= 120; fps++) {
        assert_passed(600, fps);
        assert_passed(300, fps);
    }
    /* A clock that is a little fast costs no frame. */
    SessionPace pace = {.due = GST_CLOCK_TIME_NONE};
    g_assert_cmpint(passed(&pace, 0, 610, 60), ==, 610);
}

/* Still, then again: what was missed is not made up for. */
static void test_pause(void)
{
    SessionPace pace = {.due = GST_CLOCK_TIME_NONE};
    passed(&pace, 0, 600, 10);
    g_assert_true(session_pace_passes(&pace, 60 * GST_SECOND, 10));
    g_assert_false(session_pace_passes(&pace, 60 * GST_SECOND + GST_SECOND / 60, 10));
    g_assert_true(session_pace_passes(&pace, 60 * GST_SECOND + GST_SECOND / 10, 10));
}

static void test_anew(void)
{
    SessionPace pace = {.due = GST_CLOCK_TIME_NONE};
    passed(&pace, 60 * GST_SECOND, 600, 1);
    /* The clock goes back. */
    g_assert_true(session_pace_passes(&pace, 0, 1));
    g_assert_false(session_pace_passes(&pace, GST_SECOND / 2, 1));
    /* More are asked for. */
    g_assert_true(session_pace_passes(&pace, GST_SECOND / 2, 60));
    g_assert_true(session_pace_passes(&pace, GST_CLOCK_TIME_NONE, 60));
    g_assert_true(session_pace_passes(&pace, GST_SECOND / 2, 60));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pace/rate", test_rate);
    g_test_add_func("/pace/pause", test_pause);
    g_test_add_func("/pace/anew", test_anew);
    return g_test_run();
}
