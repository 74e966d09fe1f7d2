/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guest-provision/facts.h"

#include <string.h>

#define SUM "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void test_values(void)
{
    g_autoptr(HxFacts) facts = hx_facts_new("os Debian GNU/Linux 13 (trixie)\n"
                                            "missing one\nmissing two\n"
                                            "render \n\nalone\nmissing three");
    g_assert_cmpstr(hx_facts_get(facts, "os"), ==, "Debian GNU/Linux 13 (trixie)");
    g_assert_null(hx_facts_get(facts, "render"));
    g_assert_null(hx_facts_get(facts, "alone"));
    g_assert_null(hx_facts_get(facts, "none"));
    g_autofree const char **missing = hx_facts_all(facts, "missing");
    g_autofree char *joined = g_strjoinv(",", (char **)missing);
    g_assert_cmpstr(joined, ==, "one,two,three");
}

static void test_sums(void)
{
    g_autoptr(HxFacts) facts =
        hx_facts_new("sum " SUM "  /a\nsum short  /b\nsum " SUM "  \nsum " SUM "  /c d\n");
    g_autofree char *a = hx_facts_sum(facts, "sum", "/a");
    g_assert_cmpstr(a, ==, SUM);
    g_autofree char *c = hx_facts_sum(facts, "sum", "/c d");
    g_assert_cmpstr(c, ==, SUM);
    g_assert_null(hx_facts_sum(facts, "sum", "/b"));
    g_assert_null(hx_facts_sum(facts, "sum", ""));
    g_assert_null(hx_facts_sum(facts, "installed", "/a"));
}

/* Values reach terminals and JSON: a guest must not speak to those. */
static void test_hostile(void)
{
    g_autofree char *line = g_strnfill(5000, 'x');
    g_autofree char *text = g_strconcat("gl \033]0;title\007red\xff\n", "long ", line, "\n", NULL);
    g_autoptr(HxFacts) facts = hx_facts_new(text);
    const char *gl = hx_facts_get(facts, "gl");
    g_assert_nonnull(gl);
    g_assert_true(g_utf8_validate(gl, -1, NULL));
    g_assert_true(g_str_has_prefix(gl, "?]0;title?red"));
    g_assert_null(hx_facts_get(facts, "long"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/facts/values", test_values);
    g_test_add_func("/facts/sums", test_sums);
    g_test_add_func("/facts/hostile", test_hostile);
    return g_test_run();
}
