/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The X cookie's file, of which the caller keeps hold. */
#include "launcher/host/x-authority.h"

#include <glib/gstdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "launcher/base/fd.h"

/* Whoever owns the directory afterwards may put a link in the file's place: what was made is meant,
 * and what a link of an earlier owner leads to is left alone. */
static void test_is_held(void)
{
    g_autofree char *directory = g_dir_make_tmp("helixvm-x-authority-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(directory, "xauthority", NULL);
    g_autofree char *other = g_build_filename(directory, "other", NULL);
    g_assert_true(g_file_set_contents(other, "mine", -1, NULL));
    g_assert_cmpint(symlink(other, path), ==, 0);
    g_autoptr(GError) error = NULL;
    hx_autofd int fd = hx_x_authority_create(path, &error);
    g_assert_no_error(error);
    struct stat held, there;
    g_assert_cmpint(fstat(fd, &held), ==, 0);
    g_assert_cmpint(lstat(path, &there), ==, 0);
    g_assert_true(S_ISREG(there.st_mode));
    g_assert_cmpuint(there.st_ino, ==, held.st_ino);
    g_assert_cmpint(there.st_mode & 07777, ==, 0600);
    g_autofree char *text = NULL;
    g_assert_true(g_file_get_contents(other, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, "mine");
    g_unlink(path);
    g_unlink(other);
    g_rmdir(directory);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/x-authority/is-held", test_is_held);
    return g_test_run();
}
