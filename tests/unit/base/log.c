/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The log: one whose disk is full for a while, and the limit on lines. */
#include "launcher/base/log.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <unistd.h>

static void log_to(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(dup2(fd, STDERR_FILENO), ==, STDERR_FILENO);
    close(fd);
}

static void test_full(void)
{
    g_autofree char *directory = g_dir_make_tmp("helixvm-log-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(directory, "log", NULL);
    int saved = dup(STDERR_FILENO);
    hx_log_init("part", FALSE);
    log_to(path);
    hx_log_info("one");
    log_to("/dev/full");
    hx_log_info("two");
    hx_log_info("three");
    log_to(path);
    hx_log_info("four");
    hx_log_info("five");
    dup2(saved, STDERR_FILENO);
    close(saved);
    g_autofree char *text = NULL;
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_assert_cmpstr(text, ==,
                    "part: one\npart: warning: 2 lines are lost here: No space left on device\n"
                    "part: four\npart: five\n");
    g_unlink(path);
    g_rmdir(directory);
}

static void test_limit(void)
{
    if (g_test_subprocess()) {
        hx_log_init("test", FALSE);
        hx_log_limit(3, 1);
        for (int i = 0; i < 1000; i++)
            hx_log_info("line %d", i);
        g_usleep(1100000);
        hx_log_info("later");
        hx_log_info("last");
        return;
    }
    g_test_trap_subprocess(NULL, 20 * G_USEC_PER_SEC, G_TEST_SUBPROCESS_DEFAULT);
    g_test_trap_assert_passed();
    g_test_trap_assert_stderr("*test: line 0\ntest: line 1\ntest: line 2\n"
                              "test: later (997 lines before this were too many, and left out)\n"
                              "test: last\n*");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/base/log/full", test_full);
    g_test_add_func("/base/log/limit", test_limit);
    return g_test_run();
}
