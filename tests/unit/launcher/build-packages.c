/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The packages of an image: those of ours in the guest's architecture, the user's as they are said.
 */
#include <string.h>

#include "launcher/image/build-internal.h"

static char *packages_of(const char *architecture, gboolean minimal)
{
    char *own[] = {(char *)"cross-tool-amd64", (char *)"x-amd64-y", NULL};
    HxImageRecipe wanted = {.architecture = architecture, .minimal = minimal, .packages = own};
    HxImageBuild build = {.wanted = &wanted,
                          .architecture = hx_architecture(architecture),
                          .data_directory = (char *)"guest-provision/image",
                          .session_packages = (char *)"guest-provision/session/packages"};
    g_autoptr(GError) error = NULL;
    char *packages = hx_build_packages(&build, &error);
    g_assert_no_error(error);
    return packages;
}

static void assert_has(const char *packages, const char *name, gboolean has)
{
    g_auto(GStrv) names = g_strsplit(packages, ",", -1);
    if (g_strv_contains((const char *const *)names, name) != has)
        g_error("\"%s\" %s in %s", name, has ? "is not" : "is", packages);
}

static void test_architectures(void)
{
    g_autofree char *native = packages_of("x86_64", FALSE);
    assert_has(native, "linux-image-amd64", TRUE);
    assert_has(native, "openssh-server", TRUE);
    g_autofree char *foreign = packages_of("aarch64", FALSE);
    assert_has(foreign, "linux-image-arm64", TRUE);
    assert_has(foreign, "linux-image-amd64", FALSE);
    assert_has(foreign, "cross-tool-amd64", TRUE);
    assert_has(foreign, "x-amd64-y", TRUE);
    g_autofree char *minimal = packages_of("aarch64", TRUE);
    assert_has(minimal, "linux-image-cloud-arm64", TRUE);
    assert_has(minimal, "cross-tool-amd64", TRUE);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/build-packages/architectures", test_architectures);
    return g_test_run();
}
