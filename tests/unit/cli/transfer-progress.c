/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The line that tells how far a transfer is. */
#include "cli/transfer-progress.h"

static void test_sizes(void)
{
    static const struct {
        guint64 bytes;
        const char *text;
    } cases[] = {
        {0, "0 B"},
        {1023, "1023 B"},
        {1024, "1.0 KiB"},
        {1536, "1.5 KiB"},
        {1024 * 1024 - 1, "1.0 MiB"},
        {5ull << 30, "5.0 GiB"},
        {3000ull << 40, "3000.0 TiB"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text = hx_transfer_format_size(cases[i].bytes);
        g_assert_cmpstr(text, ==, cases[i].text);
    }
}

static void assert_line(const char *what, guint64 done, guint64 size, double seconds, guint width,
                        const char *expected)
{
    g_autofree char *line = hx_transfer_format_line(what, done, size, seconds, width);
    g_assert_cmpstr(line, ==, expected);
}

static void test_lines(void)
{
    assert_line("a", 0, 0, 0, 80, "  a        0 B");
    assert_line("a", 0, 2048, 0, 80, "  a        0 B    0%");
    assert_line("a", 1 << 20, 4 << 20, 2, 80, "  a    1.0 MiB   25%  512.0 KiB/s  6 s left");
    assert_line("a", 1 << 20, 1 << 20, 2, 80, "  a    1.0 MiB  100%  512.0 KiB/s");
    assert_line("a", 1024, 1 << 20, 2, 80, "  a    1.0 KiB    0%      512 B/s  34 min left");
    /* What there is no room for is left out. */
    assert_line("/path/to/b", 1 << 20, 4 << 20, 2, 40, "  …th/to/b    1.0 MiB   25%  512.0 KiB/s");
    assert_line("/path/to/b", 1 << 20, 4 << 20, 2, 30, "  /path/to/b    1.0 MiB   25%");
    /* The end of a path tells more, and a guest's control characters are no terminal's. */
    assert_line("/a/long/way/to/file", 0, 0, 0, 24, "  …ay/to/file        0 B");
    assert_line("\033[2Jx\n", 0, 0, 0, 80, "  ?[2Jx?        0 B");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/transfer-progress/sizes", test_sizes);
    g_test_add_func("/transfer-progress/lines", test_lines);
    return g_test_run();
}
