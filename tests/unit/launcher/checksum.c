/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Publishers' lists of checksums, as they are and as they should not be. */
#include "launcher/download/checksum.h"

#include <string.h>

#include "launcher/base/error.h"

#define A16 "aaaaaaaaaaaaaaaa"
#define B16 "bbbbbbbbbbbbbbbb"
#define A64 A16 A16 A16 A16
#define B64 B16 B16 B16 B16
#define A128 A64 A64
#define B128 B64 B64

static void expect(const char *list, const char *name, const char *checksum)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *found = hx_checksum_find(list, strlen(list), name, &error);
    g_assert_cmpstr(found, ==, checksum);
    if (checksum)
        g_assert_no_error(error);
    else
        g_assert_error(error, HX_ERROR, HX_ERROR_PROTOCOL);
}

static void test_gnu(void)
{
    expect(A64 "  disk.img\n" B64 "  other.img\n", "disk.img", "sha256:" A64);
    expect(B64 " *other.img\r\n" A64 " *disk.img\r\n", "disk.img", "sha256:" A64);
    expect(A128 "  ./disk.img", "disk.img", "sha512:" A128);
    expect(A64 "  disk.img.zsync\n", "disk.img", NULL);
    expect(A64 "  old/disk.img\n", "disk.img", NULL);
    expect(A64 " disk.img\n", "disk.img", NULL);      /* one space is no format */
    expect(A16 A16 "  disk.img\n", "disk.img", NULL); /* MD5 */
    expect("", "disk.img", NULL);
}

static void test_bsd(void)
{
    expect("-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n# disk.img: 5 bytes\n"
           "SHA256 (disk.img) = " A64 "\nSHA256 (other.img) = " B64 "\n",
           "disk.img", "sha256:" A64);
    expect("SHA512 (disk.img) = " A128 "\n", "disk.img", "sha512:" A128);
    expect("SHA256 (disk.img) = " A128 "\n", "disk.img", NULL);
    expect("MD5 (disk.img) = " A16 A16 "\n", "disk.img", NULL);
}

static void test_lone(void)
{
    expect(A64 "\n", "disk.img", "sha256:" A64);
    expect(A64 "\n" B64 "\n", "disk.img", NULL);
    expect(A64 "x\n", "disk.img", NULL);
}

static void test_twice(void)
{
    expect(A64 "  disk.img\n" A64 "  disk.img\n", "disk.img", "sha256:" A64);
    expect(A64 "  disk.img\n" B64 "  disk.img\n", "disk.img", NULL);
    expect(A64 "  disk.img\n" B128 "  disk.img\n", "disk.img", "sha512:" B128);
    expect(B128 "  disk.img\n" A64 "  disk.img\n", "disk.img", "sha512:" B128);
    expect(B128 "  disk.img\n" A64 "  disk.img\n" B64 "  disk.img\n" A128 "  disk.img\n",
           "disk.img", NULL);
}

static void test_new(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *upper = g_ascii_strup(A64, -1);
    g_autofree char *checksum = hx_checksum_new(G_CHECKSUM_SHA256, upper, &error);
    g_assert_cmpstr(checksum, ==, "sha256:" A64);
    g_assert_cmpint(hx_checksum_type(checksum), ==, G_CHECKSUM_SHA256);
    g_autofree char *longer = hx_checksum_new(G_CHECKSUM_SHA512, A128, &error);
    g_assert_cmpint(hx_checksum_type(longer), ==, G_CHECKSUM_SHA512);
    for (const char *const *bad =
             (const char *[]){"", A16, A128, A16 A16 A16 "aaaaaaaaaaaaaaag", NULL};
         *bad; bad++) {
        g_clear_error(&error);
        g_assert_null(hx_checksum_new(G_CHECKSUM_SHA256, *bad, &error));
        g_assert_error(error, HX_ERROR, HX_ERROR_USAGE);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/checksum/gnu", test_gnu);
    g_test_add_func("/checksum/bsd", test_bsd);
    g_test_add_func("/checksum/lone", test_lone);
    g_test_add_func("/checksum/twice", test_twice);
    g_test_add_func("/checksum/new", test_new);
    return g_test_run();
}
