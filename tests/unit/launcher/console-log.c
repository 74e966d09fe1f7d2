/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/domain/console-log.h"

#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

/* What hx_console_panic makes of a console that has said @text, for g_free. */
static char *panic_of(const char *text, gssize size)
{
    g_autofree char *path = NULL;
    int fd = g_file_open_tmp("console-XXXXXX", &path, NULL);
    g_assert_cmpint(fd, >=, 0);
    close(fd);
    g_assert_true(g_file_set_contents(path, text, size, NULL));
    char *panic = hx_console_panic(path);
    g_unlink(path);
    return panic;
}

static void test_panic(void)
{
    g_autofree char *of_init =
        panic_of("[    0.1] Linux\r\nhelixvm-init: cannot find the disk /dev/\033[31mvdz\r\n"
                 "[   61.0] Kernel panic - not syncing: Attempted to kill init!\r\n"
                 "[   61.1] Call Trace:\r\n"
                 "[   61.2] ---[ end Kernel panic - not syncing: Attempted to kill init! ]---\r\n",
                 -1);
    g_assert_nonnull(of_init);
    g_assert_true(g_str_has_prefix(of_init, "Kernel panic - not syncing: Attempted to kill init!: "
                                            "helixvm-init: cannot find the disk /dev/"));
    g_assert_null(strpbrk(of_init, "\033\r\n"));
    g_autofree char *alone = panic_of("[1] Kernel panic - not syncing: VFS\n"
                                      "[1] ---[ end Kernel panic - not syncing: VFS ]---\n",
                                      -1);
    g_assert_cmpstr(alone, ==, "Kernel panic - not syncing: VFS");
}

static void test_none(void)
{
    g_autofree char *quiet = panic_of("[    0.1] Linux\n", -1);
    g_assert_null(quiet);
    /* It starts anew. */
    g_autofree char *passing = panic_of("[1] Kernel panic - not syncing: VFS\n", -1);
    g_assert_null(passing);
    g_assert_null(hx_console_panic("/nonexistent/console.log"));
}

/* A guest may print what it likes, as much as it likes. */
static void test_long(void)
{
    g_autoptr(GString) text = g_string_new(NULL);
    while (text->len < 200 * 1024)
        g_string_append_len(text, "line\0\n", 6);
    g_autofree char *none = panic_of(text->str, text->len);
    g_assert_null(none);
    g_string_append(text, "Kernel panic - x\n---[ end Kernel panic - x ]---\n");
    g_autofree char *behind = panic_of(text->str, text->len);
    g_assert_cmpstr(behind, ==, "Kernel panic - x");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/console-log/panic", test_panic);
    g_test_add_func("/console-log/none", test_none);
    g_test_add_func("/console-log/long", test_long);
    return g_test_run();
}
