/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What of a guest's text reaches a terminal. */
#include "launcher/base/printable.h"

static void assert_printable(const char *text, const char *expected)
{
    g_autofree char *printable = hx_printable(text);
    g_assert_cmpstr(printable, ==, expected);
}

static void test_printable(void)
{
    assert_printable("as it is: ä € 🙂", "as it is: ä € 🙂");
    assert_printable("\033[2J\a\t\r\n\177", "?[2J?????");
    /* C1: CSI and OSC in one letter each, of two bytes in UTF-8 */
    assert_printable("\302\2332J\302\2350;title", "?2J?0;title");
    /* and as raw bytes, which are no UTF-8 */
    assert_printable("\2332J", "\357\277\2752J");
}

static void assert_start(const char *text, glong length, const char *expected)
{
    g_autofree char *start = hx_printable_start(text, length);
    g_assert_cmpstr(start, ==, expected);
}

static void test_start(void)
{
    assert_start("ä€🙂x", 5, "ä€🙂x");
    assert_start("ä€🙂x", 4, "ä€🙂x");
    assert_start("ä€🙂x", 3, "ä€🙂");
    assert_start("a\302\233b\n", 2, "a?");
    assert_start("a\233b", 2, "a\357\277\275"); /* no UTF-8: one character for it */
    assert_start("", 3, "");
    assert_start("a", 0, "");
}

static void test_lines(void)
{
    g_autofree char *printable = hx_printable_lines("one\n\302\233two\r\n");
    g_assert_cmpstr(printable, ==, "one\n?two?\n");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/printable/line", test_printable);
    g_test_add_func("/printable/start", test_start);
    g_test_add_func("/printable/lines", test_lines);
    return g_test_run();
}
