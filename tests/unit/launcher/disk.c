/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The overlay disk, made by the real qemu-img. */
#include "launcher/disk/disk.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "launcher/base/error.h"
#include "launcher/base/process.h"

typedef struct {
    char *directory;
    char *base;
    char *disk;
} Fixture;

static char *qemu_img_info(const char *path)
{
    const char *const argv[] = {"qemu-img", "info", "--output=json", path, NULL};
    char *json = NULL;
    g_autoptr(GError) error = NULL;
    hx_process_run(argv, &json, NULL, &error);
    g_assert_no_error(error);
    return json;
}

static void create_image(const char *path)
{
    const char *const argv[] = {"qemu-img", "create", "-q", "-f", "qcow2", path, "3G", NULL};
    g_autoptr(GError) error = NULL;
    hx_process_run(argv, NULL, NULL, &error);
    g_assert_no_error(error);
}

static void set_up(Fixture *fixture, const void *data)
{
    fixture->directory = g_dir_make_tmp("helixvm-disk-XXXXXX", NULL);
    fixture->base = g_build_filename(fixture->directory, "base.qcow2", NULL);
    fixture->disk = g_build_filename(fixture->directory, "disk.qcow2", NULL);
    create_image(fixture->base);
}

static void tear_down(Fixture *fixture, const void *data)
{
    g_unlink(fixture->disk);
    g_unlink(fixture->base);
    g_assert_cmpint(g_rmdir(fixture->directory), ==, 0); /* nothing else was left in it */
    g_free(fixture->disk);
    g_free(fixture->base);
    g_free(fixture->directory);
}

static gboolean ensure(Fixture *fixture, gint64 size, HxDiskChange *ret_change, GError **error)
{
    return hx_disk_ensure(fixture->disk, fixture->base, size, geteuid(), ret_change, NULL, error);
}

static void test_create(Fixture *fixture, const void *data)
{
    HxDiskChange change = HX_DISK_KEPT;
    g_autoptr(GError) error = NULL;
    g_assert_true(ensure(fixture, 20, &change, &error));
    g_assert_cmpint(change, ==, HX_DISK_CREATED);
    g_autofree char *info = qemu_img_info(fixture->disk);
    g_assert_nonnull(strstr(info, "\"virtual-size\": 21474836480"));
    g_assert_nonnull(strstr(info, fixture->base));
    struct stat status;
    g_assert_cmpint(stat(fixture->disk, &status), ==, 0);
    g_assert_cmpint(status.st_mode & 07777, ==, 0600);
    /* A second time nothing is made. */
    g_assert_true(ensure(fixture, 20, &change, &error));
    g_assert_cmpint(change, ==, HX_DISK_KEPT);
}

static void test_never_smaller_than_the_base(Fixture *fixture, const void *data)
{
    HxDiskChange change = HX_DISK_KEPT;
    g_assert_true(ensure(fixture, 1, &change, NULL));
    g_autofree char *info = qemu_img_info(fixture->disk);
    g_assert_nonnull(strstr(info, "\"virtual-size\": 3221225472"));
}

static void test_size_changes(Fixture *fixture, const void *data)
{
    HxDiskChange change = HX_DISK_KEPT;
    g_autoptr(GError) error = NULL;
    g_assert_true(ensure(fixture, 4, &change, &error));
    g_assert_true(ensure(fixture, 6, &change, &error));
    g_assert_cmpint(change, ==, HX_DISK_GROWN);
    g_autofree char *info = qemu_img_info(fixture->disk);
    g_assert_nonnull(strstr(info, "\"virtual-size\": 6442450944"));
    g_assert_nonnull(strstr(info, fixture->base));
    g_assert_false(ensure(fixture, 5, &change, &error));
    g_assert_error(error, HX_ERROR, HX_ERROR_CONFIG);
    g_test_message("%s", error->message);
    g_assert_nonnull(strstr(error->message, "6.0 GiB"));
    g_assert_nonnull(strstr(error->message, "5.0 GiB"));
    g_autofree char *after = qemu_img_info(fixture->disk);
    g_assert_nonnull(strstr(after, "\"virtual-size\": 6442450944"));
}

/* A size below the base's is the base's, each time that it is asked for. */
static void test_the_base_is_larger_again(Fixture *fixture, const void *data)
{
    HxDiskChange change = HX_DISK_KEPT;
    g_assert_true(ensure(fixture, 1, &change, NULL));
    g_assert_true(ensure(fixture, 2, &change, NULL));
    g_assert_cmpint(change, ==, HX_DISK_KEPT);
}

static void test_without_base(Fixture *fixture, const void *data)
{
    HxDiskChange change = HX_DISK_KEPT;
    g_autoptr(GError) error = NULL;
    g_assert_true(hx_disk_ensure(fixture->disk, NULL, 2, geteuid(), &change, NULL, &error));
    g_assert_cmpint(change, ==, HX_DISK_CREATED);
    g_assert_true(hx_disk_ensure(fixture->disk, NULL, 3, geteuid(), &change, NULL, &error));
    g_assert_cmpint(change, ==, HX_DISK_GROWN);
    g_autofree char *info = qemu_img_info(fixture->disk);
    g_assert_nonnull(strstr(info, "\"virtual-size\": 3221225472"));
    g_assert_null(strstr(info, "backing-filename"));
    /* An empty disk is no overlay. */
    g_assert_false(ensure(fixture, 3, &change, &error));
    g_assert_error(error, HX_ERROR, HX_ERROR_CONFIG);
}

static void test_another_base(Fixture *fixture, const void *data)
{
    HxDiskChange change = HX_DISK_KEPT;
    g_assert_true(ensure(fixture, 4, &change, NULL));
    g_autofree char *other = g_build_filename(fixture->directory, "other.qcow2", NULL);
    create_image(other);
    g_autoptr(GError) error = NULL;
    g_assert_false(hx_disk_ensure(fixture->disk, other, 4, geteuid(), &change, NULL, &error));
    g_assert_error(error, HX_ERROR, HX_ERROR_CONFIG);
    g_assert_nonnull(strstr(error->message, fixture->base));
    g_unlink(other);
}

static void run(const char *const *argv)
{
    g_autoptr(GError) error = NULL;
    hx_process_run(argv, NULL, NULL, &error);
    g_assert_no_error(error);
}

/* A QEMU that its guest has taken over may write what it likes into the disk's header. */
static void test_hostile_header(Fixture *fixture, const void *data)
{
    HxDiskChange change = HX_DISK_KEPT;
    g_autoptr(GError) error = NULL;
    g_autofree char *raw = g_build_filename(fixture->directory, "raw", NULL);
    g_autofree char *option = g_strconcat("data_file=", raw, NULL);
    const char *const external[] = {"qemu-img", "create", "-q",          "-f", "qcow2",
                                    "-o",       option,   fixture->disk, "1G", NULL};
    run(external);
    g_assert_false(hx_disk_ensure(fixture->disk, NULL, 2, geteuid(), &change, NULL, &error));
    g_assert_error(error, HX_ERROR, HX_ERROR_CONFIG);
    g_assert_nonnull(strstr(error->message, "its data is in another file"));
    g_clear_error(&error);
    struct stat status;
    g_assert_cmpint(stat(raw, &status), ==, 0);
    g_assert_cmpint(status.st_size, ==, 1 << 30); /* not grown */
    g_unlink(raw);
    g_unlink(fixture->disk);

    /* A size that no sum with it holds. */
    create_image(fixture->disk);
    g_autofree char *contents = NULL;
    gsize length = 0;
    g_assert_true(g_file_get_contents(fixture->disk, &contents, &length, NULL));
    memset(contents + 24, 0xff, 8);
    contents[24] = 0x7f;
    g_assert_true(g_file_set_contents(fixture->disk, contents, length, NULL));
    g_assert_false(hx_disk_check_size(fixture->disk, 1, &error));
    g_assert_nonnull(strstr(error->message, "set its size to 8589934592 or more"));
    g_clear_error(&error);

    g_assert_true(g_file_set_contents(fixture->disk, "no disk at all", -1, NULL));
    g_assert_false(hx_disk_ensure(fixture->disk, NULL, 2, geteuid(), &change, NULL, &error));
    g_assert_error(error, HX_ERROR, HX_ERROR_CONFIG);
}

static void test_base_is_no_image(Fixture *fixture, const void *data)
{
    HxDiskChange change = HX_DISK_KEPT;
    g_autoptr(GError) error = NULL;
    g_unlink(fixture->base);
    g_assert_false(ensure(fixture, 4, &change, &error));
    g_assert_error(error, HX_ERROR, HX_ERROR_FAILED);
    g_assert_false(g_file_test(fixture->disk, G_FILE_TEST_EXISTS));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/disk/create", Fixture, NULL, set_up, test_create, tear_down);
    g_test_add("/disk/never-smaller-than-the-base", Fixture, NULL, set_up,
               test_never_smaller_than_the_base, tear_down);
    g_test_add("/disk/size-changes", Fixture, NULL, set_up, test_size_changes, tear_down);
    g_test_add("/disk/the-base-is-larger-again", Fixture, NULL, set_up,
               test_the_base_is_larger_again, tear_down);
    g_test_add("/disk/without-base", Fixture, NULL, set_up, test_without_base, tear_down);
    g_test_add("/disk/another-base", Fixture, NULL, set_up, test_another_base, tear_down);
    g_test_add("/disk/base-is-no-image", Fixture, NULL, set_up, test_base_is_no_image, tear_down);
    g_test_add("/disk/hostile-header", Fixture, NULL, set_up, test_hostile_header, tear_down);
    return g_test_run();
}
