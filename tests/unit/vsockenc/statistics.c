/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guest-provision/vsockenc/statistics.h"

static void test_empty(void)
{
    HxStatistics statistics = {0};
    HxLatency latency = hx_statistics_latency(&statistics);
    g_assert_cmpfloat(latency.max, ==, 0);
    g_assert_cmpfloat(hx_statistics_fps(&statistics), ==, 0);
    hx_statistics_add(&statistics, 10, TRUE, 2500, 1000000);
    latency = hx_statistics_latency(&statistics);
    g_assert_cmpfloat(latency.p50, ==, 2.5);
    g_assert_cmpfloat(latency.p99, ==, 2.5);
    g_assert_cmpfloat(hx_statistics_fps(&statistics), ==, 0);
}

static void test_percentiles(void)
{
    HxStatistics statistics = {0};
    for (int i = 100; i >= 1; i--)
        hx_statistics_add(&statistics, 5, i == 100, i * 1000, (101 - i) * 40000);
    HxLatency latency = hx_statistics_latency(&statistics);
    g_assert_cmpfloat(latency.p50, ==, 50);
    g_assert_cmpfloat(latency.p95, ==, 95);
    g_assert_cmpfloat(latency.p99, ==, 99);
    g_assert_cmpfloat(latency.max, ==, 100);
    g_assert_cmpuint(statistics.frames, ==, 100);
    g_assert_cmpuint(statistics.keyframes, ==, 1);
    g_assert_cmpuint(statistics.bytes, ==, 500);
    g_assert_cmpfloat_with_epsilon(hx_statistics_fps(&statistics), 25, 1e-9);
}

/* What is older than the window is forgotten; what is older than 2 s does not slow the rate. */
static void test_window(void)
{
    HxStatistics statistics = {0};
    gint64 now = 0;
    hx_statistics_add(&statistics, 1, TRUE, 1000000, now);
    now += 100 * G_USEC_PER_SEC;
    for (int i = 0; i < HX_STATISTICS_WINDOW; i++)
        hx_statistics_add(&statistics, 1, FALSE, 1000, now += 10000);
    g_assert_cmpfloat(hx_statistics_latency(&statistics).max, ==, 1);
    g_assert_cmpfloat_with_epsilon(hx_statistics_fps(&statistics), 100, 1e-9);
    g_assert_cmpuint(statistics.frames, ==, HX_STATISTICS_WINDOW + 1);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/statistics/empty", test_empty);
    g_test_add_func("/statistics/percentiles", test_percentiles);
    g_test_add_func("/statistics/window", test_window);
    return g_test_run();
}
