/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A guest's lines on a terminal, and the last lines of a file. */
#include "cli/log-text.h"

#include <string.h>
#include <unistd.h>

static void test_clean(void)
{
    static const struct {
        const char *line, *clean;
    } cases[] = {
        {"plain", "plain"},
        {"tab\tand \xc3\xa9", "tab\tand \xc3\xa9"},
        {"\033[0;32m  OK  \033[0m] up", "  OK  ] up"},
        {"a\033[2Jb\033[1;1Hc", "abc"},
        {"\033]0;title\adone", "done"},
        {"\033]0;title\033\\done", "done"},
        {"\033Pquery\033\\x", "x"},
        {"\033(Bx\033cy", "xy"},
        {"\xc2\x9b"
         "31mred",
         "red"},
        {"end\r", "end"},
        {"over\rwritten", "over\xef\xbf\xbdwritten"},
        {"bell\a", "bell\xef\xbf\xbd"},
        {"bad\xff", "bad\xef\xbf\xbd"},
        {"cut\033", "cut"},
        {"cut\033[", "cut"},
        {"cut\033]0;tit", "cut"},
        {"bidi \xe2\x80\xae.", "bidi \xef\xbf\xbd."},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *clean = hx_log_clean(cases[i].line, strlen(cases[i].line));
        g_assert_cmpstr(clean, ==, cases[i].clean);
    }
    g_autofree char *nul = hx_log_clean("a\0b", 3);
    g_assert_cmpstr(nul, ==,
                    "a\xef\xbf\xbd"
                    "b");
}

static void assert_tail(const char *text, guint lines, const char *expected)
{
    g_autofree char *path = NULL;
    int fd = g_file_open_tmp("helixvm-tail-XXXXXX", &path, NULL);
    g_assert_cmpint(fd, >=, 0);
    unlink(path);
    g_assert_cmpint(write(fd, text, strlen(text)), ==, strlen(text));
    g_assert_cmpstr(text + hx_log_tail(fd, lines), ==, expected);
    close(fd);
}

static void test_tail(void)
{
    assert_tail("", 3, "");
    assert_tail("a\nb\nc\n", 2, "b\nc\n");
    assert_tail("a\nb\nc", 2, "b\nc");
    assert_tail("a\nb\nc\n", 3, "a\nb\nc\n");
    assert_tail("a\nb\nc\n", 9, "a\nb\nc\n");
    assert_tail("a\nb\n", 0, "");
    assert_tail("\n\n\n", 1, "\n");

    /* Over more than one block. */
    g_autoptr(GString) many = g_string_new(NULL);
    for (int i = 0; i < 30000; i++)
        g_string_append_printf(many, "line %d\n", i);
    g_autofree char *expected = g_strdup(strstr(many->str, "line 10000\n"));
    assert_tail(many->str, 20000, expected);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/log-text/clean", test_clean);
    g_test_add_func("/log-text/tail", test_tail);
    return g_test_run();
}
