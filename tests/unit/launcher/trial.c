/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/doctor/trial.h"

#include <string.h>

#include "launcher/base/error.h"

static HxTrial *start(const char *script)
{
    const char *const argv[] = {"sh", "-c", script, NULL};
    g_autoptr(GError) error = NULL;
    HxTrial *trial = hx_trial_start(argv, NULL, NULL, &error);
    g_assert_no_error(error);
    return trial;
}

static void test_evidence(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(HxTrial) trial = start("echo starting >&2; echo 5; exec sleep 100");
    g_assert_true(hx_trial_await(trial, "^[0-9]+\n", 10, &error));
    g_assert_no_error(error);
    g_assert_cmpstr(hx_trial_output(trial), ==, "starting\n5\n");
}

static void test_end(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(HxTrial) good = start("echo done");
    g_assert_true(hx_trial_await(good, NULL, 10, &error));
    g_autoptr(HxTrial) silent = start("true");
    g_assert_false(hx_trial_await(silent, "word", 10, &error));
    g_assert_error(error, HX_ERROR, HX_ERROR_HOST);
    g_clear_error(&error);
    g_autoptr(HxTrial) bad = start("echo begun; echo 'x: error: no luck'; echo later; exit 3");
    g_assert_false(hx_trial_await(bad, "word", 10, &error));
    g_assert_error(error, HX_ERROR, HX_ERROR_HOST);
    g_assert_cmpstr(error->message, ==, "x: error: no luck");
    g_clear_error(&error);
    g_autoptr(HxTrial) killed = start("kill -9 $$");
    g_assert_false(hx_trial_await(killed, NULL, 10, &error));
    g_assert_nonnull(strstr(error->message, "signal 9"));
}

static void test_hanging(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(HxTrial) trial = start("echo waiting; exec sleep 100");
    gint64 begun = g_get_monotonic_time();
    g_assert_false(hx_trial_await(trial, "never", 1, &error));
    g_assert_error(error, HX_ERROR, HX_ERROR_TIMEOUT);
    g_assert_cmpint(g_get_monotonic_time() - begun, <, 30 * G_TIME_SPAN_SECOND);
    g_clear_pointer(&trial, hx_trial_free); /* ends it: does not wait 100 s */
    g_assert_cmpint(g_get_monotonic_time() - begun, <, 60 * G_TIME_SPAN_SECOND);
}

/* One that closes its output and does not end. */
static void test_silent_hanging(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(HxTrial) trial = start("exec >&- 2>&-; exec sleep 100");
    gint64 begun = g_get_monotonic_time();
    g_assert_false(hx_trial_await(trial, NULL, 1, &error));
    g_assert_error(error, HX_ERROR, HX_ERROR_TIMEOUT);
    g_assert_cmpint(g_get_monotonic_time() - begun, <, 30 * G_TIME_SPAN_SECOND);
    g_assert_nonnull(strstr(error->message, "sh has said all it had"));
}

static void test_no_program(void)
{
    const char *const argv[] = {"/nonexistent/program", NULL};
    g_autoptr(GError) error = NULL;
    g_assert_null(hx_trial_start(argv, NULL, NULL, &error));
    g_assert_error(error, HX_ERROR, HX_ERROR_HOST);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/trial/evidence", test_evidence);
    g_test_add_func("/trial/end", test_end);
    g_test_add_func("/trial/hanging", test_hanging);
    g_test_add_func("/trial/silent-hanging", test_silent_hanging);
    g_test_add_func("/trial/no-program", test_no_program);
    return g_test_run();
}
