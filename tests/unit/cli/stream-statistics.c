/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/stream-statistics.h"

#include <string.h>

#define SECOND G_USEC_PER_SEC
#define START (1000 * (gint64)SECOND)

static void test_nothing(void)
{
    g_auto(HxStreamStatistics) s;
    hx_stream_statistics_init(&s);
    g_assert_cmpfloat(hx_stream_statistics_duration(&s, START), ==, 0);
    g_assert_cmpfloat(hx_stream_statistics_fps(&s, START), ==, 0);
    g_assert_cmpfloat(hx_stream_statistics_bitrate(&s, START), ==, 0);
    g_assert_cmpfloat(hx_stream_statistics_round_trip_ms(&s), <, 0);
    g_autofree char *line = hx_stream_statistics_line(&s, START);
    g_assert_cmpstr(line, ==, "no frame yet");
}

/* 5 replayed frames at once, then 20 a second for 4 s, 1000 bytes each, a key of 9000 first. */
static void test_rates(void)
{
    g_auto(HxStreamStatistics) s;
    hx_stream_statistics_init(&s);
    for (int i = 0; i < 5; i++)
        hx_stream_statistics_frame(&s, START, 1280, 720, i ? 1000 : 9000, i == 0, TRUE);
    for (int i = 0; i < 80; i++)
        hx_stream_statistics_frame(&s, START + i * SECOND / 20, 1280, 720, 1000, FALSE, FALSE);
    gint64 end = START + 4 * SECOND;
    g_assert_cmpuint(s.frames, ==, 85);
    g_assert_cmpuint(s.keyframes, ==, 1);
    g_assert_cmpuint(s.bytes, ==, 93000);
    g_assert_cmpuint(s.smallest, ==, 1000);
    g_assert_cmpuint(s.largest, ==, 9000);
    g_assert_cmpfloat(hx_stream_statistics_duration(&s, end), ==, 4);
    g_assert_cmpfloat(hx_stream_statistics_fps(&s, end), ==, 20);
    g_assert_cmpfloat(hx_stream_statistics_bitrate(&s, end), ==, 93000 * 8 / 4.0);
}

/* One frame is no rate. */
static void test_short(void)
{
    g_auto(HxStreamStatistics) s;
    hx_stream_statistics_init(&s);
    hx_stream_statistics_frame(&s, START, 640, 480, 1000, TRUE, FALSE);
    g_assert_cmpfloat(hx_stream_statistics_fps(&s, START + 43), ==, 0);
    g_assert_cmpfloat(hx_stream_statistics_bitrate(&s, START + 43), ==, 0);
}

/* A stream that stops is slow, not fast while it lasted. */
static void test_stall(void)
{
    g_auto(HxStreamStatistics) s;
    hx_stream_statistics_init(&s);
    for (int i = 0; i < 30; i++)
        hx_stream_statistics_frame(&s, START + i * SECOND / 30, 640, 480, 1, FALSE, FALSE);
    g_assert_cmpfloat(hx_stream_statistics_fps(&s, START + 10 * SECOND), ==, 3);
}

static void test_lines(void)
{
    g_auto(HxStreamStatistics) s;
    hx_stream_statistics_init(&s);
    for (int i = 0; i < 40; i++)
        hx_stream_statistics_frame(&s, START + i * SECOND / 20, 1280, 720, 1000, i == 0, FALSE);
    g_autofree char *first = hx_stream_statistics_line(&s, START + 2 * SECOND);
    g_assert_nonnull(strstr(first, "1280x720"));
    g_assert_nonnull(strstr(first, "40 frames (1 key)"));
    g_assert_nonnull(strstr(first, "20.0 fps (20.0 average)"));
    for (int i = 0; i < 20; i++)
        hx_stream_statistics_frame(&s, START + 2 * SECOND + i * SECOND / 10, 1280, 720, 1000, FALSE,
                                   FALSE);
    g_autofree char *second = hx_stream_statistics_line(&s, START + 4 * SECOND);
    g_assert_nonnull(strstr(second, "60 frames (1 key)"));
    g_assert_nonnull(strstr(second, "10.0 fps (15.0 average)"));
}

static void test_round_trips(void)
{
    g_auto(HxStreamStatistics) s;
    hx_stream_statistics_init(&s);
    hx_stream_statistics_round_trip(&s, 9000);
    g_assert_cmpfloat(hx_stream_statistics_round_trip_ms(&s), ==, 9);
    hx_stream_statistics_round_trip(&s, 1000);
    g_assert_cmpfloat(hx_stream_statistics_round_trip_ms(&s), ==, 5);
    hx_stream_statistics_round_trip(&s, 2000);
    g_assert_cmpfloat(hx_stream_statistics_round_trip_ms(&s), ==, 2);
    for (int i = 0; i < 5000; i++)
        hx_stream_statistics_round_trip(&s, 3000);
    g_assert_cmpuint(s.round_trips->len, ==, 3600);
    g_assert_cmpfloat(hx_stream_statistics_round_trip_ms(&s), ==, 3);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/stream-statistics/nothing", test_nothing);
    g_test_add_func("/stream-statistics/rates", test_rates);
    g_test_add_func("/stream-statistics/short", test_short);
    g_test_add_func("/stream-statistics/stall", test_stall);
    g_test_add_func("/stream-statistics/lines", test_lines);
    g_test_add_func("/stream-statistics/round-trips", test_round_trips);
    return g_test_run();
}
