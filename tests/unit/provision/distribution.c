/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guest-provision/distribution.h"

static void is(const char *os_release, const char *id, const char *version, const char *name,
               gboolean known)
{
    g_autoptr(GError) error = NULL;
    g_auto(HxDistribution) distribution = {};
    g_auto(GStrv) lines = g_strsplit(os_release, "\n", -1);
    g_autofree char *text = NULL;
    g_file_get_contents("guest-provision/session/distributions", &text, NULL, &error);
    g_assert_no_error(error);
    g_auto(GStrv) table = g_strsplit(text, "\n", -1);
    hx_distribution_read(&distribution, (const char *const *)lines);
    g_assert_cmpstr(distribution.id, ==, id);
    g_assert_cmpstr(distribution.version, ==, version);
    g_assert_cmpstr(distribution.name, ==, name);
    g_assert_cmpint(hx_distribution_is_in(&distribution, (const char *const *)table), ==, known);
}

static void test_known(void)
{
    is("PRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\nVERSION_ID=\"13\"\nID=debian\n", "debian",
       "13", "Debian GNU/Linux 13 (trixie)", TRUE);
    is("PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_ID=\"12\"\nID=debian\n", "debian",
       "12", "Debian GNU/Linux 12 (bookworm)", TRUE);
    is("PRETTY_NAME=\"Ubuntu 24.04.1 LTS\"\nVERSION_ID=\"24.04\"\nID=ubuntu\nID_LIKE=debian\n",
       "ubuntu", "24.04", "Ubuntu 24.04.1 LTS", TRUE);
}

static void test_others(void)
{
    is("ID=fedora\nVERSION_ID=42\nPRETTY_NAME='Fedora Linux 42'\n", "fedora", "42",
       "Fedora Linux 42", FALSE);
    is("ID=arch\n", "arch", "", "arch", FALSE);
    is("ID=debian\nPRETTY_NAME=\"Debian GNU/Linux forky/sid\"\n", "debian", "",
       "Debian GNU/Linux forky/sid", FALSE);
    is("", "linux", "", "linux", FALSE);
    is("ID\n=\nID=\"unended\nIDX=debian\nVERSION_ID=13 12\n", "linux", "13 12", "linux", FALSE);
}

static void test_versions(void)
{
    g_assert_cmpint(hx_version_compare("1.26.2-2", "1.24"), >, 0);
    g_assert_cmpint(hx_version_compare("1.22.0-2+deb12u1", "1.24"), <, 0);
    g_assert_cmpint(hx_version_compare("1.24.2-1ubuntu0.1", "1.24"), ==, 0);
    g_assert_cmpint(hx_version_compare("2.9", "2.34"), <, 0);
    g_assert_cmpint(hx_version_compare("2.0", "1.24"), >, 0);
    g_assert_cmpint(hx_version_compare("", "1.24"), <, 0);
    g_assert_cmpint(hx_version_compare("x.y", "0"), ==, 0);
}

static void test_packages(void)
{
    static const char *const table[] = {"debian 1", "debian 12 glib=2.74 weston=10.0",
                                        "ubuntu 24.04", NULL};
    g_auto(HxDistribution) debian = {};
    hx_distribution_read(&debian, (const char *[]){"ID=debian", "VERSION_ID=12", NULL});
    g_autofree char *weston = hx_distribution_version_of(&debian, table, "weston");
    g_assert_cmpstr(weston, ==, "10.0");
    g_assert_null(hx_distribution_version_of(&debian, table, "west"));
    g_assert_null(hx_distribution_version_of(&debian, table, "libsoup"));
    g_auto(HxDistribution) ubuntu = {};
    hx_distribution_read(&ubuntu, (const char *[]){"ID=ubuntu", "VERSION_ID=24.04", NULL});
    g_assert_true(hx_distribution_is_in(&ubuntu, table));
    g_assert_null(hx_distribution_version_of(&ubuntu, table, "weston"));
    g_auto(HxDistribution) other = {};
    hx_distribution_read(&other, (const char *[]){"ID=debian", "VERSION_ID=2", NULL});
    g_assert_false(hx_distribution_is_in(&other, table));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/distribution/known", test_known);
    g_test_add_func("/distribution/others", test_others);
    g_test_add_func("/distribution/versions", test_versions);
    g_test_add_func("/distribution/packages", test_packages);
    return g_test_run();
}
