/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/base/directories.h"

#include <glib/gstdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "launcher/base/error.h"

typedef struct {
    char *top;
} Fixture;

static void set_up(Fixture *f, const void *unused)
{
    g_autoptr(GError) error = NULL;
    f->top = g_dir_make_tmp("helixvm-directories-XXXXXX", &error);
    g_assert_no_error(error);
}

static void tear_down(Fixture *f, const void *unused)
{
    for (const char *const *name = (const char *[]){"a/b", "a", "file", "open", NULL}; *name;
         name++) {
        g_autofree char *path = g_build_filename(f->top, *name, NULL);
        g_remove(path);
    }
    g_assert_cmpint(g_rmdir(f->top), ==, 0);
    g_free(f->top);
    g_unsetenv("HELIXVM_STATE_DIR");
    g_unsetenv("HELIXVM_RUNTIME_DIR");
}

static void test_made(Fixture *f, const void *unused)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *wanted = g_build_filename(f->top, "a", "b", NULL);
    g_setenv("HELIXVM_STATE_DIR", wanted, TRUE);
    g_autofree char *asked = hx_state_directory(&error);
    g_assert_no_error(error);
    g_assert_cmpstr(asked, ==, wanted);
    g_autofree char *above = g_build_filename(f->top, "a", NULL);
    g_assert_false(g_file_test(above, G_FILE_TEST_EXISTS));
    mode_t before = umask(0077);
    for (int times = 0; times < 2; times++) {
        g_autofree char *path = hx_create_state_directory(&error);
        g_assert_no_error(error);
        g_assert_cmpstr(path, ==, wanted);
    }
    umask(before);
    struct stat made;
    g_assert_cmpint(stat(wanted, &made), ==, 0);
    g_assert_cmphex(made.st_mode & 07777, ==, 0711);
}

static void expect_refused(const char *path)
{
    static char *(*const directories[])(GError **error) = {
        hx_state_directory, hx_create_state_directory, hx_runtime_directory};
    g_setenv("HELIXVM_STATE_DIR", path, TRUE);
    g_setenv("HELIXVM_RUNTIME_DIR", path, TRUE);
    for (size_t i = 0; i < G_N_ELEMENTS(directories); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(directories[i](&error));
        g_assert_error(error, HX_ERROR, HX_ERROR_HOST);
        g_assert_nonnull(strstr(error->message, path));
    }
}

static void test_refused(Fixture *f, const void *unused)
{
    expect_refused("relative");
    g_autofree char *file = g_build_filename(f->top, "file", NULL);
    g_assert_true(g_file_set_contents(file, "", -1, NULL));
    expect_refused(file);
    g_autofree char *below_file = g_build_filename(file, "x", NULL);
    expect_refused(below_file);
    g_autofree char *open_to_all = g_build_filename(f->top, "open", NULL);
    g_assert_cmpint(g_mkdir(open_to_all, 0700), ==, 0);
    g_assert_cmpint(chmod(open_to_all, 0777), ==, 0);
    expect_refused(open_to_all);
}

static void test_defaults(void)
{
    if (geteuid() != 0) {
        g_test_skip("needs root");
        return;
    }
    g_autoptr(GError) error = NULL;
    g_autofree char *state = hx_state_directory(&error);
    g_assert_no_error(error);
    g_assert_cmpstr(state, ==, "/var/lib/helixvm");
    g_autofree char *runtime = hx_runtime_directory(&error);
    g_assert_no_error(error);
    g_assert_cmpstr(runtime, ==, "/run/helixvm");
}

int main(int argc, char **argv)
{
    g_unsetenv("HELIXVM_STATE_DIR");
    g_unsetenv("HELIXVM_RUNTIME_DIR");
    g_test_init(&argc, &argv, NULL);
    g_test_add("/directories/made", Fixture, NULL, set_up, test_made, tear_down);
    g_test_add("/directories/refused", Fixture, NULL, set_up, test_refused, tear_down);
    g_test_add_func("/directories/defaults", test_defaults);
    return g_test_run();
}
