/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/download/url.h"

#include "launcher/base/error.h"
#include "launcher/image/fetch.h"

static void test_check(void)
{
    static const struct {
        const char *url;
        gboolean good;
    } cases[] = {
        {"https://a.example/b/disk.img", TRUE},
        {"HTTP://a.example:8080/disk.img?x=1", TRUE},
        {"file:///tmp/disk.img", TRUE},
        {"ftp://a.example/disk.img", FALSE},
        {"https://me@a.example/disk.img", FALSE},
        {"https://me:secret@a.example/disk.img", FALSE},
        {"scp://a.example/disk.img", FALSE},
        {"javascript:x", FALSE},
        {"disk.img", FALSE},
        {"", FALSE},
        {"https://a.example/a b\n", FALSE},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_test_message("%s", cases[i].url);
        g_assert_cmpint(hx_url_check(cases[i].url, &error), ==, cases[i].good);
        if (!cases[i].good)
            g_assert_error(error, HX_ERROR, HX_ERROR_USAGE);
    }
}

static void expect_name(const char *url, const char *file, const char *image)
{
    g_autofree char *name = hx_url_file_name(url);
    g_assert_cmpstr(name, ==, file);
    g_autofree char *of_image = hx_image_fetch_name(url);
    g_assert_cmpstr(of_image, ==, image);
}

static void test_names(void)
{
    expect_name("https://a.example/b/disk.qcow2?token=1#x", "disk.qcow2", "disk");
    expect_name("https://a.example/Fedora%20Cloud_44.raw.xz", "Fedora Cloud_44.raw.xz",
                "fedora-cloud_44");
    expect_name("https://a.example/dir/", NULL, NULL);
    expect_name("https://a.example", NULL, NULL);
    expect_name("https://a.example/.qcow2", ".qcow2", NULL);
    expect_name("https://a.example/0123456789012345678901234567890123456789x.img",
                "0123456789012345678901234567890123456789x.img",
                "0123456789012345678901234567890123456789");
    g_autofree char *without = hx_url_without_query("https://a.example/disk.img?token=1");
    g_assert_cmpstr(without, ==, "https://a.example/disk.img");
}

static void test_architecture(void)
{
    g_assert_cmpstr(hx_image_fetch_architecture("https://a.example/debian-13-arm64.qcow2"), ==,
                    "aarch64");
    g_assert_cmpstr(hx_image_fetch_architecture("https://a.example/x.AMD64.img"), ==, "x86_64");
    g_assert_null(hx_image_fetch_architecture("https://arm64.example/amd64/disk.img"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/url/check", test_check);
    g_test_add_func("/url/names", test_names);
    g_test_add_func("/url/architecture", test_architecture);
    return g_test_run();
}
