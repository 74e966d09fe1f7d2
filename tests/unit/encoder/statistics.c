/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the service tells of its sessions' speed. */
#include "encoder/service/statistics.h"

#define SECOND G_USEC_PER_SEC

static void test_empty(void)
{
    HxRate rate = {0};
    double bits = -1;
    g_assert_cmpfloat(hx_rate_per_second(&rate, 100 * SECOND, &bits), ==, 0);
    g_assert_cmpfloat(bits, ==, 0);
}

/* Thirty frames a second of 1,000 bytes, for ten seconds, and then none. */
static void test_steady(void)
{
    HxRate rate = {0};
    double bits;
    gint64 now = 5 * SECOND;
    for (int i = 0; i < 300; i++, now += SECOND / 30)
        hx_rate_add(&rate, now, 1000);
    g_assert_cmpfloat_with_epsilon(hx_rate_per_second(&rate, now, &bits), 30, 0.6);
    g_assert_cmpfloat_with_epsilon(bits, 240000, 4000);
    g_assert_cmpfloat_with_epsilon(hx_rate_per_second(&rate, now + SECOND, &bits), 15, 0.6);
    g_assert_cmpfloat(hx_rate_per_second(&rate, now + 2 * SECOND, &bits), ==, 0);
    g_assert_cmpfloat(bits, ==, 0);
}

/* One that has just begun. */
static void test_beginning(void)
{
    HxRate rate = {0};
    double bits;
    hx_rate_add(&rate, 0, 500);
    g_assert_cmpfloat(hx_rate_per_second(&rate, 1000, &bits), ==, 1);
    g_assert_cmpfloat(bits, ==, 4000);
    for (int i = 1; i < 45; i++)
        hx_rate_add(&rate, i * SECOND / 30, 500);
    g_assert_cmpfloat_with_epsilon(hx_rate_per_second(&rate, 45 * SECOND / 30, &bits), 30, 0.1);
}

/* More within the time than the ring keeps. */
static void test_fast(void)
{
    HxRate rate = {0};
    double bits;
    gint64 now = 0;
    for (int i = 0; i < 2000; i++, now += SECOND / 480)
        hx_rate_add(&rate, now, 10);
    g_assert_cmpfloat_with_epsilon(hx_rate_per_second(&rate, now, &bits), 480, 2);
    g_assert_cmpfloat_with_epsilon(bits, 480 * 80, 200);
}

static void test_percentiles(void)
{
    HxSamples samples = {0};
    g_assert_cmpfloat(hx_samples_percentile(&samples, 50), ==, 0);
    for (int i = 1; i <= 100; i++)
        hx_samples_add(&samples, i * 1000);
    g_assert_cmpfloat(hx_samples_percentile(&samples, 50), ==, 50);
    g_assert_cmpfloat(hx_samples_percentile(&samples, 99), ==, 99);
    hx_samples_add(&samples, -5);
    g_assert_cmpfloat(hx_samples_percentile(&samples, 1), ==, 1);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/statistics/empty", test_empty);
    g_test_add_func("/statistics/steady", test_steady);
    g_test_add_func("/statistics/beginning", test_beginning);
    g_test_add_func("/statistics/fast", test_fast);
    g_test_add_func("/statistics/percentiles", test_percentiles);
    return g_test_run();
}
