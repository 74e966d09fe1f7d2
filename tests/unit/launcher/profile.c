/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Profiles: merging, and what a wrong one is told. */
#include "launcher/profile/profile.h"

#include <glib/gstdio.h>

#include "launcher/base/error.h"
#include "launcher/profile/text.h"

static char *write_profile(const char *text)
{
    char *path = NULL;
    int fd = g_file_open_tmp("helixvm-profile-XXXXXX.conf", &path, NULL);
    g_assert_cmpint(fd, >=, 0);
    g_close(fd, NULL);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
    return path;
}

/* Merge @text as a file and expect the error to contain each of the words that follow. */
static void expect_error(const char *text, ...)
{
    g_autoptr(HxProfile) profile = hx_profile_new();
    g_autoptr(GError) error = NULL;
    g_autofree char *path = write_profile(text);
    g_autofree char *before = hx_profile_to_data(profile);
    g_assert_false(hx_profile_merge_file(profile, path, &error));
    g_assert_error(error, HX_ERROR, HX_ERROR_CONFIG);
    g_test_message("%s", error->message);
    g_assert_nonnull(strstr(error->message, path));
    va_list words;
    va_start(words, text);
    const char *word;
    while ((word = va_arg(words, const char *)))
        g_assert_nonnull(strstr(error->message, word));
    va_end(words);
    /* All or nothing. */
    g_autofree char *after = hx_profile_to_data(profile);
    g_assert_cmpstr(before, ==, after);
    g_unlink(path);
}

static void test_merge(void)
{
    g_autoptr(HxProfile) profile = hx_profile_new();
    g_autofree char *path = write_profile("[machine]\ncpus=4\n[gpu]\nvenus=false\n");
    g_assert_cmpint(hx_profile_integer(profile, "machine.cpus"), ==, 2);
    g_assert_true(hx_profile_merge_file(profile, path, NULL));
    g_assert_cmpint(hx_profile_integer(profile, "machine.cpus"), ==, 4);
    g_assert_false(hx_profile_boolean(profile, "gpu.venus"));
    g_assert_cmpint(hx_profile_integer(profile, "machine.memory"), ==, 2048);
    g_assert_true(hx_profile_merge_setting(profile, "machine.cpus=8", NULL));
    g_assert_cmpint(hx_profile_integer(profile, "machine.cpus"), ==, 8);
    g_assert_true(hx_profile_merge_setting(profile, "boot.cmdline=root=/dev/vdb a=b", NULL));
    g_assert_cmpstr(hx_profile_string(profile, "boot.cmdline"), ==, "root=/dev/vdb a=b");
    g_unlink(path);
}

static void test_saved_profile_is_the_same(void)
{
    g_autoptr(HxProfile) profile = hx_profile_new();
    g_assert_true(hx_profile_merge_setting(profile, "machine.accelerators=tcg;", NULL));
    g_assert_true(hx_profile_merge_setting(profile, "disk.size=33", NULL));
    g_autofree char *data = hx_profile_to_data(profile);
    g_autofree char *path = write_profile(data);
    g_autoptr(HxProfile) again = hx_profile_new();
    g_assert_true(hx_profile_merge_file(again, path, NULL));
    g_autofree char *data_again = hx_profile_to_data(again);
    g_assert_cmpstr(data, ==, data_again);
    g_auto(GStrv) accelerators = hx_profile_list(again, "machine.accelerators");
    g_assert_cmpuint(g_strv_length(accelerators), ==, 1);
    g_assert_cmpstr(accelerators[0], ==, "tcg");
    g_unlink(path);
}

static void test_errors(void)
{
    expect_error("[machine]\ncpus=2\nmemroy=4096\n", ":3:", "machine.memroy", "machine.memory",
                 NULL);
    expect_error("[gpu]\n\n# two\nmemory=1\n", ":4:", "gpu.memory", "machine.memory", NULL);
    expect_error("[machine]\ncpus=0\n", ":2:", "from 1 to 64", NULL);
    expect_error("[encoder]\npreset=placebo\n", "ultrafast, superfast", NULL);
    expect_error("[encoder]\nthreads=17\n", "from 1 to 16", NULL);
    expect_error("[encoder]\nmax-sessions=0\n", "from 1 to 64", NULL);
    expect_error("[machine]\ncpus=two\n", "from 1 to 64", NULL);
    expect_error("[gpu]\nvenus=yes\n", "true or false", NULL);
    expect_error("[vsock]\ndevice=fast\n", "auto, kernel, vhost-user", NULL);
    expect_error("[machine]\naccelerators=kvm;xen\n", "a list of hvf, kvm, tcg", NULL);
    expect_error("[machine]\naccelerators=\n", "a list of", NULL);
    expect_error("[machine]\naccelerators=kvm;tcg;kvm\n", "\"kvm\" is there twice", NULL);
    expect_error("[encoder]\nencoders=x264;x264\n", "\"x264\" is there twice", NULL);
    expect_error("[disk]\nextra=a:1;a:2\n", "\"a\" is there twice", NULL);
    expect_error("[network]\nforward=tcp:80:80;tcp:80:81\n", "port 80 is there twice", NULL);
    expect_error("[share]\nfolders=a:/usr;a:/var\n", "\"a\" is there twice", NULL);
    expect_error("cpus=2\n", ":1:", "before any [section]", NULL);
    expect_error("[machine\n", ":1:", NULL);
    expect_error("[machine]x\n", ":1:", NULL);
    expect_error("[machin]\ncpus=2\n", ":1:", "unknown section \"machin\"", "\"machine\"", NULL);
    expect_error("[machine]\ncpus=2\n\ncpus=3\n", ":4:", "twice", "line 2", NULL);
    expect_error("[machine]\r\ncpus=2\r\nmemroy=4\r\n", ":3:", "machine.memory", NULL);
    expect_error("[machine]\ncpus=\xff\n", ":2:", "UTF-8", NULL);
    expect_error("[machine]\ncpus\n", ":2:", "key=value", NULL);
    expect_error("[machine]\n\033[2Jcpus=1\n", ":2:", "\\033[2J", NULL);
    expect_error("[machine]\ncpus=0\nmemory=0\n", ":2:", "tells 1 more", NULL);
}

static void test_lines_end_as_they_like(void)
{
    g_autoptr(HxProfile) profile = hx_profile_new();
    g_autoptr(GError) error = NULL;
    g_autofree char *path =
        write_profile("# comment\r\n\r\n[machine]\r\n cpus = 4 \r\n[boot]\r\ncmdline=a b=c");
    hx_profile_merge_file(profile, path, &error);
    g_assert_no_error(error);
    g_assert_cmpint(hx_profile_integer(profile, "machine.cpus"), ==, 4);
    g_assert_cmpstr(hx_profile_string(profile, "boot.cmdline"), ==, "a b=c");
    g_unlink(path);
}

static void test_origin(void)
{
    g_autoptr(HxProfile) profile = hx_profile_new();
    g_autofree char *path = write_profile("[machine]\n\ncpus=4\n");
    g_autofree char *line = g_strconcat(path, ":3", NULL);
    g_assert_null(hx_profile_origin(profile, "machine.cpus"));
    g_assert_true(hx_profile_merge_file(profile, path, NULL));
    g_assert_cmpstr(hx_profile_origin(profile, "machine.cpus"), ==, line);
    g_assert_true(hx_profile_merge_setting(profile, "machine.cpus=5", NULL));
    g_assert_cmpstr(hx_profile_origin(profile, "machine.cpus"), ==, "--set");
    g_assert_null(hx_profile_origin(profile, "machine.memory"));
    g_unlink(path);
}

/* All mistakes, in the order of the file. */
static void test_check(void)
{
    g_autofree char *path = write_profile("x=1\n[gpu]\nvenus=on\nvenus=true\n[nonsense]\ncpus=1\n");
    g_autoptr(GPtrArray) objections = hx_profile_check_file(path, NULL);
    g_assert_nonnull(objections);
    static const guint expected[] = {1, 3, 5, 6};
    g_assert_cmpuint(objections->len, ==, G_N_ELEMENTS(expected));
    for (guint i = 0; i < objections->len; i++)
        g_assert_cmpuint(((HxProfileObjection *)objections->pdata[i])->line, ==, expected[i]);
    g_unlink(path);
}

static void test_wrong_settings(void)
{
    static const char *const wrong[] = {
        "",       "cpus=2",          "machine.cpus",
        "=.",     "machine.cpus=",   "machine.cpus=99999999999999999",
        "a.b.c=", "disk.image=a\nb", NULL};
    g_autoptr(HxProfile) profile = hx_profile_new();
    for (int i = 0; wrong[i]; i++) {
        g_autoptr(GError) error = NULL;
        g_assert_false(hx_profile_merge_setting(profile, wrong[i], &error));
        g_assert_error(error, HX_ERROR, HX_ERROR_CONFIG);
    }
}

static void test_missing_file(void)
{
    g_autoptr(HxProfile) profile = hx_profile_new();
    g_autoptr(GError) error = NULL;
    g_assert_false(hx_profile_merge_file(profile, "/nonexistent/a.conf", &error));
    g_assert_error(error, HX_ERROR, HX_ERROR_NOT_FOUND);
}

/* Each standard value in the table is one that the table allows. */
static void test_table(void)
{
    g_autoptr(HxProfile) profile = hx_profile_new();
    for (const HxProfileKey *key = hx_profile_keys(); key->section; key++) {
        g_autofree char *setting =
            g_strdup_printf("%s.%s=%s", key->section, key->key, key->standard);
        g_autoptr(GError) error = NULL;
        hx_profile_merge_setting(profile, setting, &error);
        g_assert_no_error(error);
        g_assert_nonnull(key->description);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/profile/merge", test_merge);
    g_test_add_func("/profile/saved-profile-is-the-same", test_saved_profile_is_the_same);
    g_test_add_func("/profile/errors", test_errors);
    g_test_add_func("/profile/line-ends", test_lines_end_as_they_like);
    g_test_add_func("/profile/origin", test_origin);
    g_test_add_func("/profile/check", test_check);
    g_test_add_func("/profile/wrong-settings", test_wrong_settings);
    g_test_add_func("/profile/missing-file", test_missing_file);
    g_test_add_func("/profile/table", test_table);
    return g_test_run();
}
