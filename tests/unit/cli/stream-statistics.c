/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/stream-statistics.h"

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
    g_assert_cmpfloat(hx_stream_statistics_longest_gap_ms(&s, START), ==, 0);
    g_assert_cmpuint(hx_stream_statistics_gaps(&s, 0, START), ==, 0);
    g_assert_cmpfloat(hx_stream_statistics_sample(&s, START).fps, ==, 0);
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
    g_assert_cmpfloat(hx_stream_statistics_bitrate(&s, end), ==, 80000 * 8 / 4.0);
    HxStreamSample sample = hx_stream_statistics_sample(&s, end);
    g_assert_cmpfloat(sample.fps, ==, 20);
    g_assert_cmpfloat(sample.bitrate, ==, 80000 * 8 / 4.0);
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

/* 20 a second for 2 s, then 10 of half their size. */
static void test_samples(void)
{
    g_auto(HxStreamStatistics) s;
    hx_stream_statistics_init(&s);
    for (int i = 0; i < 40; i++)
        hx_stream_statistics_frame(&s, START + i * SECOND / 20, 1280, 720, 1000, i == 0, FALSE);
    HxStreamSample first = hx_stream_statistics_sample(&s, START + 2 * SECOND);
    g_assert_cmpfloat(first.fps, ==, 20);
    g_assert_cmpfloat(first.bitrate, ==, 160000);
    for (int i = 0; i < 20; i++)
        hx_stream_statistics_frame(&s, START + 2 * SECOND + i * SECOND / 10, 1280, 720, 500, FALSE,
                                   FALSE);
    HxStreamSample second = hx_stream_statistics_sample(&s, START + 4 * SECOND);
    g_assert_cmpfloat(second.fps, ==, 10);
    g_assert_cmpfloat(second.bitrate, ==, 40000);
    g_assert_cmpfloat(hx_stream_statistics_fps(&s, START + 4 * SECOND), ==, 15);
}

static void assert_gaps(const HxStreamStatistics *s, gint64 now, guint64 over_50, guint64 over_100,
                        guint64 over_200, double longest_ms)
{
    g_assert_cmpuint(hx_stream_statistics_gaps(s, 0, now), ==, over_50);
    g_assert_cmpuint(hx_stream_statistics_gaps(s, 1, now), ==, over_100);
    g_assert_cmpuint(hx_stream_statistics_gaps(s, 2, now), ==, over_200);
    g_assert_cmpfloat(hx_stream_statistics_longest_gap_ms(s, now), ==, longest_ms);
}

/* Frames so many ms after the one before; what came before the viewer makes no gap. */
static void test_gaps(void)
{
    static const int after[] = {33, 50, 51, 100, 101, 200, 201, 20};
    g_auto(HxStreamStatistics) s;
    hx_stream_statistics_init(&s);
    gint64 now = START;
    for (int i = 0; i < 3; i++)
        hx_stream_statistics_frame(&s, now + i * SECOND, 640, 480, 1, FALSE, TRUE);
    now += 10 * SECOND;
    hx_stream_statistics_frame(&s, now, 640, 480, 1, TRUE, FALSE);
    for (size_t i = 0; i < G_N_ELEMENTS(after); i++)
        hx_stream_statistics_frame(&s, now += after[i] * 1000, 640, 480, 1, FALSE, FALSE);
    assert_gaps(&s, now, 5, 3, 1, 201);
    /* The one that goes on counts. */
    assert_gaps(&s, now + 50 * 1000, 5, 3, 1, 201);
    assert_gaps(&s, now + 150 * 1000, 6, 4, 1, 201);
    assert_gaps(&s, now + 500 * 1000, 6, 4, 2, 500);
    hx_stream_statistics_frame(&s, now + 500 * 1000, 640, 480, 1, FALSE, FALSE);
    assert_gaps(&s, now + 500 * 1000, 6, 4, 2, 500);
}

static void test_round_trips(void)
{
    g_auto(HxStreamStatistics) s;
    hx_stream_statistics_init(&s);
    hx_stream_statistics_pong(&s, 9000, 0);
    g_assert_cmpfloat(hx_stream_statistics_round_trip_ms(&s), ==, 9);
    hx_stream_statistics_pong(&s, 1000, 0);
    g_assert_cmpfloat(hx_stream_statistics_round_trip_ms(&s), ==, 5);
    hx_stream_statistics_pong(&s, 2000, 0);
    g_assert_cmpfloat(hx_stream_statistics_round_trip_ms(&s), ==, 2);
    for (int i = 0; i < 5000; i++)
        hx_stream_statistics_pong(&s, 3000, 0);
    g_assert_cmpuint(s.round_trips->len, ==, 3600);
    g_assert_cmpfloat(hx_stream_statistics_round_trip_ms(&s), ==, 3);
}

static void test_encoder(void)
{
    g_auto(HxStreamStatistics) s;
    hx_stream_statistics_init(&s);
    hx_stream_statistics_pong(&s, 1000, 0);
    g_assert_cmpfloat(hx_stream_statistics_encoder_ms(&s, 0.5), <, 0);
    for (guint ms = 100; ms >= 1; ms--)
        hx_stream_statistics_pong(&s, 1000, ms);
    g_assert_cmpfloat(hx_stream_statistics_encoder_ms(&s, 0), ==, 1);
    g_assert_cmpfloat(hx_stream_statistics_encoder_ms(&s, 0.5), ==, 50);
    g_assert_cmpfloat(hx_stream_statistics_encoder_ms(&s, 0.99), ==, 99);
    g_assert_cmpfloat(hx_stream_statistics_encoder_ms(&s, 1), ==, 100);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/stream-statistics/nothing", test_nothing);
    g_test_add_func("/stream-statistics/rates", test_rates);
    g_test_add_func("/stream-statistics/short", test_short);
    g_test_add_func("/stream-statistics/stall", test_stall);
    g_test_add_func("/stream-statistics/samples", test_samples);
    g_test_add_func("/stream-statistics/gaps", test_gaps);
    g_test_add_func("/stream-statistics/round-trips", test_round_trips);
    g_test_add_func("/stream-statistics/encoder", test_encoder);
    return g_test_run();
}
