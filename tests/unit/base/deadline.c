/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Deadlines, with a clock that runs on between each two looks at it. */
#include "launcher/base/deadline.h"

static gint64 now;

/* Instead of GLib's. */
gint64 g_get_monotonic_time(void)
{
    return now += 1000;
}

static void test_time_left(void)
{
    now = 0;
    g_assert_cmpint(hx_time_left(5000), ==, 4000);
    g_assert_cmpint(hx_time_left(2001), ==, 1); /* the clock has passed it at the next look */
    g_assert_cmpint(hx_time_left(3000), ==, 0);
    g_assert_cmpint(hx_time_left(3000), ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/deadline/time-left", test_time_left);
    return g_test_run();
}
