/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which of cp's arguments is a guest's, and which copies there are. */
#include "cli/copy-path.h"

#include "launcher/base/error.h"

static void test_paths(void)
{
    static const struct {
        const char *argument, *vm, *path;
    } cases[] = {
        {"a", NULL, "a"},
        {"box:a", "box", "a"},
        {"box:", "box", ""},
        {":a", "default", "a"},
        {"./a:b", NULL, "./a:b"},
        {"/a:b", NULL, "/a:b"},
        {"box:a:b", "box", "a:b"},
        {"box:/a", "box", "/a"},
        {"", NULL, ""},
        {"d/box:a", NULL, "d/box:a"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_auto(HxCopyPath) path = hx_copy_path_parse(cases[i].argument);
        g_assert_cmpstr(path.vm, ==, cases[i].vm);
        g_assert_cmpstr(path.path, ==, cases[i].path);
    }
}

static void test_plans(void)
{
    g_auto(HxCopyPlan) in = {0}, out = {0};
    g_autoptr(GError) error = NULL;
    char *to_guest[] = {"a", "b", "box:c"}, *to_host[] = {"box:a", "box:b", "c"};
    g_assert_true(hx_copy_plan(to_guest, 3, &in, &error));
    g_assert_false(in.out);
    g_assert_cmpstr(in.vm, ==, "box");
    g_assert_cmpstr(in.destination, ==, "c");
    g_assert_cmpuint(g_strv_length(in.sources), ==, 2);
    g_assert_true(hx_copy_plan(to_host, 3, &out, &error));
    g_assert_true(out.out);
    g_assert_cmpstr(out.vm, ==, "box");
    g_assert_cmpstr(out.sources[1], ==, "b");

    char *bad[][3] = {{"a", "b", "c"},
                      {"x:a", "b", "y:c"},
                      {"x:a", "y:b", "c"},
                      {"x:a", "b", "c"},
                      {"x:a", "x:b", ""}};
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        HxCopyPlan plan;
        g_clear_error(&error);
        g_assert_false(hx_copy_plan(bad[i], 3, &plan, &error));
        g_assert_error(error, HX_ERROR, HX_ERROR_USAGE);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/copy-path/paths", test_paths);
    g_test_add_func("/copy-path/plans", test_plans);
    return g_test_run();
}
