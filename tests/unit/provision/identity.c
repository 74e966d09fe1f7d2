/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guest-provision/identity.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

#include "launcher/base/error.h"
#include "launcher/base/process.h"

typedef struct {
    char *top;
    char *path;
} Fixture;

static void set_up(Fixture *f, const void *data)
{
    f->top = g_dir_make_tmp("helixvm-identity-XXXXXX", NULL);
    g_assert_nonnull(f->top);
    f->path = g_build_filename(f->top, "keys", "id_ed25519", NULL);
}

static void tear_down(Fixture *f, const void *data)
{
    g_autofree char *directory = g_path_get_dirname(f->path);
    g_unlink(f->path);
    /* Fails where a temporary file was left behind. */
    g_assert_cmpint(g_rmdir(directory), ==, 0);
    g_assert_cmpint(g_rmdir(f->top), ==, 0);
    g_free(f->path);
    g_free(f->top);
}

static mode_t mode_of(const char *path)
{
    GStatBuf status;
    g_assert_cmpint(g_stat(path, &status), ==, 0);
    return status.st_mode & 07777;
}

static void test_made_once(Fixture *f, const void *data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *first = NULL;
    g_autofree char *second = NULL;
    hx_identity_ensure(f->path, &first, &error);
    g_assert_no_error(error);
    hx_identity_ensure(f->path, &second, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(first, ==, second);
    g_assert_true(g_str_has_prefix(first, "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5"));
    g_assert_true(g_str_has_suffix(first, " helixvm"));

    g_autofree char *directory = g_path_get_dirname(f->path);
    g_assert_cmpint(mode_of(f->path), ==, 0600);
    g_assert_cmpint(mode_of(directory), ==, 0700);
}

/* OpenSSH is the judge of the file's format and of the public key. */
static void test_openssh_agrees(Fixture *f, const void *data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *public_key = NULL;
    hx_identity_ensure(f->path, &public_key, &error);
    g_assert_no_error(error);
    g_autofree char *output = NULL;
    const char *argv[] = {"ssh-keygen", "-y", "-P", "", "-f", f->path, NULL};
    hx_process_run(argv, &output, NULL, &error);
    g_assert_no_error(error);
    g_auto(GStrv) ours = g_strsplit(public_key, " ", 3);
    g_auto(GStrv) theirs = g_strsplit(g_strchomp(output), " ", 3);
    g_assert_cmpstr(ours[0], ==, theirs[0]);
    g_assert_cmpstr(ours[1], ==, theirs[1]);
}

static void test_readable_by_others(Fixture *f, const void *data)
{
    g_autoptr(GError) error = NULL;
    g_assert_true(hx_identity_ensure(f->path, NULL, NULL));
    g_chmod(f->path, 0644);
    g_assert_false(hx_identity_ensure(f->path, NULL, &error));
    g_assert_error(error, HX_ERROR, HX_ERROR_CONFIG);
    g_assert_nonnull(strstr(error->message, f->path));
}

static void test_garbage(Fixture *f, const void *data)
{
    g_autoptr(GError) error = NULL;
    g_assert_true(hx_identity_ensure(f->path, NULL, NULL));
    g_assert_true(
        g_file_set_contents_full(f->path, "garbage\n", -1, G_FILE_SET_CONTENTS_NONE, 0600, NULL));
    g_assert_false(hx_identity_ensure(f->path, NULL, &error));
    g_assert_error(error, HX_ERROR, HX_ERROR_CONFIG);
}

static void test_no_parent(Fixture *f, const void *data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = g_build_filename(f->top, "missing", "keys", "id", NULL);
    g_assert_false(hx_identity_ensure(path, NULL, &error));
    g_assert_error(error, HX_ERROR, HX_ERROR_HOST);
    g_assert_true(hx_identity_ensure(f->path, NULL, NULL)); /* for tear_down */
}

#define RACERS 8

static void *race(void *path)
{
    char *public_key = NULL;
    g_assert_true(hx_identity_ensure(path, &public_key, NULL));
    return public_key;
}

static void test_race(Fixture *f, const void *data)
{
    GThread *threads[RACERS];
    for (int i = 0; i < RACERS; i++)
        threads[i] = g_thread_new("racer", race, f->path);
    g_autofree char *first = g_thread_join(threads[0]);
    for (int i = 1; i < RACERS; i++) {
        g_autofree char *other = g_thread_join(threads[i]);
        g_assert_cmpstr(first, ==, other);
    }
}

#define TEST(name, function) g_test_add(name, Fixture, NULL, set_up, function, tear_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    TEST("/identity/made-once", test_made_once);
    TEST("/identity/openssh-agrees", test_openssh_agrees);
    TEST("/identity/readable-by-others", test_readable_by_others);
    TEST("/identity/garbage", test_garbage);
    TEST("/identity/no-parent", test_no_parent);
    TEST("/identity/race", test_race);
    return g_test_run();
}
