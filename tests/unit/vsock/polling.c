/* SPDX-License-Identifier: GPL-2.0-or-later */
/* When the device asks for no kicks, and how long it then waits. */
#include "launcher/vsock/polling.h"

#include <glib.h>

#define KIB 1024u
#define WINDOW (256 * KIB)
#define SHORTEST 100 /* µs */
#define LONGEST 400

/* A lap at @now that finds @size bytes in packets of 4 KiB or less.  Returns the time to the next,
 * 0: a kick. */
static int64_t lap(HxPolling *polling, int64_t now, uint32_t size, uint32_t window)
{
    for (uint32_t left = size; left > 0; left -= MIN(left, 4 * KIB))
        hx_polling_count(polling, MIN(left, 4 * KIB), window);
    bool looks = hx_polling_end_lap(polling, now);
    g_assert_cmpint(looks, ==, polling->look_at != 0);
    return looks ? polling->look_at - now : 0;
}

/* Laps with 8 KiB each, every 50 µs, until it polls.  Returns the time of the last. */
static int64_t stream(HxPolling *polling, uint32_t window, int64_t begin, int64_t interval)
{
    for (unsigned i = 0; i < 3; i++, begin += 50)
        g_assert_cmpint(lap(polling, begin, 8 * KIB, window), ==, 0);
    g_assert_cmpint(lap(polling, begin, 8 * KIB, window), ==, interval);
    return begin;
}

static void test_begins_and_ends(void)
{
    HxPolling polling = {0};
    int64_t now = stream(&polling, WINDOW, 1000, LONGEST);
    /* Woken by something else before: the time stays, and finding nothing means nothing. */
    g_assert_cmpint(lap(&polling, now + 30, 0, WINDOW), ==, LONGEST - 30);
    g_assert_cmpint(lap(&polling, now + LONGEST, 0, WINDOW), ==, 0);
    stream(&polling, WINDOW, now + 1000000, LONGEST);
}

static void test_quiet_guests(void)
{
    HxPolling polling = {0};
    for (int64_t now = 1; now < 20; now++) {
        g_assert_cmpint(lap(&polling, now, 64, WINDOW), ==, 0); /* few bytes */
        hx_polling_count(&polling, 64 * KIB, WINDOW);           /* large packets */
        g_assert_cmpint(lap(&polling, now, 0, WINDOW), ==, 0);
    }
}

static void test_answers(void)
{
    HxPolling polling = {0};
    int64_t now = stream(&polling, WINDOW, 1000, LONGEST);
    hx_polling_expect_answer(&polling);
    g_assert_cmpint(lap(&polling, now + LONGEST, 8 * KIB, WINDOW), ==, 0);
}

static void test_interval(void)
{
    HxPolling polling = {0};
    int64_t now = stream(&polling, WINDOW, 1000, LONGEST);
    /* Half the window in just that time; then all of it, and all of it at once. */
    g_assert_cmpint(lap(&polling, now += 300, 100, WINDOW), ==, 100);
    g_assert_cmpint(lap(&polling, now += 300, WINDOW / 2, WINDOW), ==, 300);
    g_assert_cmpint(lap(&polling, now += 300, WINDOW, WINDOW), ==, 150);
    g_assert_cmpint(lap(&polling, now += 150, WINDOW, WINDOW), ==, SHORTEST);
    /* The device was late: the guest was not so fast. */
    g_assert_cmpint(lap(&polling, now += 5000, WINDOW, WINDOW), ==, LONGEST);
    /* Of several, the one with the smallest window counts. */
    hx_polling_count(&polling, 4 * KIB, 32 * KIB);
    g_assert_cmpint(lap(&polling, now += 400, 28 * KIB, WINDOW), ==, 200);
    /* A window of nothing. */
    g_assert_cmpint(lap(&polling, now += 200, 8 * KIB, 0), ==, SHORTEST);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vsock/polling/begins-and-ends", test_begins_and_ends);
    g_test_add_func("/vsock/polling/quiet-guests", test_quiet_guests);
    g_test_add_func("/vsock/polling/answers", test_answers);
    g_test_add_func("/vsock/polling/interval", test_interval);
    return g_test_run();
}
