/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/image/store.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "launcher/base/delete-tree.h"
#include "launcher/base/error.h"
#include "launcher/base/fd.h"
#include "launcher/base/process.h"

#define METADATA                                                                                   \
    "{\"built_at\":\"2030-01-02T03:04:05Z\",\"debian_version\":\"13.9\","                          \
    "\"kernel_version\":\"6.12\",\"recipe\":\"abcd\",\"virtual_size\":1048576}"

#define FETCHED                                                                                    \
    "{\"fetched_at\":\"2030-01-02T03:04:05Z\",\"source\":\"https://a.example/b.qcow2\","           \
    "\"system\":\"Fedora 50\",\"architecture\":\"aarch64\",\"boot\":\"firmware\","                 \
    "\"virtual_size\":1048576}"

typedef struct {
    char *state;
} Fixture;

static void set_up(Fixture *f, const void *unused)
{
    f->state = g_dir_make_tmp("helixvm-image-XXXXXX", NULL);
    g_assert_nonnull(f->state);
    g_setenv("HELIXVM_STATE_DIR", f->state, TRUE);
}

static void tear_down(Fixture *f, const void *unused)
{
    g_assert_true(hx_delete_tree(f->state, NULL));
    g_free(f->state);
}

static void write_file(const char *directory, const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(directory, name, NULL);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void run_qemu_img(const char *path, const char *base)
{
    const char *const plain[] = {"qemu-img", "create", "-q", "-f", "qcow2", path, "1M", NULL};
    const char *const overlay[] = {"qemu-img", "create", "-q", "-f", "qcow2", "-F",
                                   "qcow2",    "-b",     base, path, NULL};
    g_autoptr(GError) error = NULL;
    hx_process_run(base ? overlay : plain, NULL, NULL, &error);
    g_assert_no_error(error);
}

static char *make_image(const char *name)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *images = hx_image_create_directory(&error);
    g_assert_no_error(error);
    char *path = g_build_filename(images, name, NULL);
    g_assert_cmpint(g_mkdir(path, 0755), ==, 0);
    write_file(path, "image.json", METADATA);
    write_file(path, "kernel", "kernel");
    write_file(path, "initrd", "initrd");
    g_autofree char *disk = g_build_filename(path, "disk.qcow2", NULL);
    run_qemu_img(disk, NULL);
    return path;
}

static void expect_error(const char *name, HxError code, const char *text)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(HxImage) image = hx_image_open(name, &error);
    g_assert_null(image);
    g_assert_error(error, HX_ERROR, (int)code);
    if (!strstr(error->message, text))
        g_error("\"%s\" does not say \"%s\"", error->message, text);
}

static void test_open(Fixture *f, const void *unused)
{
    g_autofree char *path = make_image("one");
    g_autoptr(GError) error = NULL;
    g_autoptr(HxImage) image = hx_image_open("one", &error);
    g_assert_no_error(error);
    g_autofree char *kernel = g_build_filename(f->state, "images/one/kernel", NULL);
    g_assert_cmpstr(hx_image_kernel(image), ==, kernel);
    g_assert_true(g_str_has_suffix(hx_image_disk(image), "/one/disk.qcow2"));
    g_assert_true(g_str_has_suffix(hx_image_initrd(image), "/one/initrd"));
    g_assert_cmpstr(hx_image_debian_version(image), ==, "13.9");
    g_assert_cmpuint(hx_image_virtual_size(image), ==, 1048576);
    g_assert_cmpuint(hx_image_size(image), >, 12);
}

static void test_bad(Fixture *f, const void *unused)
{
    expect_error("default", HX_ERROR_NOT_FOUND,
                 "no image \"default\": build it with `helixvm image "
                 "build`");
    expect_error("x", HX_ERROR_NOT_FOUND, "`helixvm image build x`");
    for (const char *const *name =
             (const char *[]){"", ".", "..", "a/b", "../vms", "A", "-x", NULL};
         *name; name++)
        expect_error(*name, HX_ERROR_USAGE, "cannot be an image's name");
    g_autofree char *path = make_image("one");
    write_file(path, "image.json", "[]");
    expect_error("one", HX_ERROR_CONFIG, "damaged");
    write_file(path, "image.json", "{\"built_at\":7}");
    expect_error("one", HX_ERROR_CONFIG, "incomplete");
    write_file(path, "image.json", METADATA);
    write_file(path, "kernel", "");
    expect_error("one", HX_ERROR_CONFIG, "its kernel is missing");
    g_autoptr(GError) error = NULL;
    hx_image_remove("one", NULL, NULL, NULL, &error);
    g_assert_no_error(error);
    expect_error("one", HX_ERROR_NOT_FOUND, "no image");
}

static void test_architecture(Fixture *f, const void *unused)
{
    g_autofree char *path = make_image("one");
    g_autoptr(GError) error = NULL;
    g_autoptr(HxImage) old = hx_image_open("one", &error);
    g_assert_no_error(error);
    g_assert_cmpstr(hx_image_architecture(old), ==, "x86_64");
    g_assert_cmpstr(hx_image_system(old), ==, "Debian 13.9");

    write_file(path, "image.json", FETCHED);
    g_autoptr(HxImage) fetched = hx_image_open("one", &error);
    g_assert_no_error(error);
    g_assert_cmpstr(hx_image_architecture(fetched), ==, "aarch64");
    g_assert_cmpstr(hx_image_system(fetched), ==, "Fedora 50");
    g_assert_null(hx_image_recipe(fetched));
    g_assert_nonnull(hx_image_kernel(fetched)); /* where there is one, it is used */

    g_autofree char *kernel = g_build_filename(path, "kernel", NULL);
    g_assert_cmpint(g_unlink(kernel), ==, 0);
    g_autoptr(HxImage) firmware = hx_image_open("one", &error);
    g_assert_no_error(error);
    g_assert_null(hx_image_kernel(firmware));
    g_assert_null(hx_image_initrd(firmware));
    write_file(path, "image.json", METADATA);
    expect_error("one", HX_ERROR_CONFIG, "its kernel is missing");

    write_file(path, "image.json",
               "{\"fetched_at\":\"x\",\"source\":\"y\",\"virtual_size\":1,"
               "\"architecture\":\"vax\"}");
    expect_error("one", HX_ERROR_CONFIG, "architecture");
}

static void test_list(Fixture *f, const void *unused)
{
    g_autofree char *b = make_image("b");
    g_autofree char *a = make_image("a");
    g_autofree char *building = make_image(".c.building");
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) images = hx_image_list(&error);
    g_assert_no_error(error);
    g_assert_cmpuint(images->len, ==, 2);
    g_assert_cmpstr(hx_image_name(images->pdata[0]), ==, "a");
    g_assert_cmpstr(hx_image_name(images->pdata[1]), ==, "b");
}

static void test_users(Fixture *f, const void *unused)
{
    g_autofree char *used = make_image("used");
    g_autofree char *other = make_image("other");
    g_autofree char *vm = g_build_filename(f->state, "vms/desk", NULL);
    g_assert_cmpint(g_mkdir_with_parents(vm, 0700), ==, 0);
    write_file(vm, "torn.qcow2", "QFI");
    g_autofree char *base = g_build_filename(used, "disk.qcow2", NULL);
    g_autofree char *overlay = g_build_filename(vm, "disk.qcow2", NULL);
    run_qemu_img(overlay, base);

    g_autoptr(GError) error = NULL;
    g_auto(GStrv) users = hx_image_users("used", &error);
    g_assert_no_error(error);
    g_assert_cmpuint(g_strv_length(users), ==, 1);
    g_assert_cmpstr(users[0], ==, "desk");
    g_assert_false(hx_image_remove("used", NULL, NULL, NULL, &error));
    g_assert_error(error, HX_ERROR, HX_ERROR_FAILED);
    g_assert_nonnull(strstr(error->message, "VM desk"));
    g_clear_error(&error);
    /* Also where it is damaged: the disk is what VMs lie on. */
    write_file(used, "image.json", "{");
    g_assert_false(hx_image_remove("used", NULL, NULL, NULL, &error));
    g_assert_error(error, HX_ERROR, HX_ERROR_FAILED);
    g_assert_nonnull(strstr(error->message, "VM desk"));
    g_clear_error(&error);
    gboolean in_use = FALSE;
    g_autofree char *newer = make_image(".used.made");
    g_assert_false(hx_image_publish("used", newer, &in_use, &error));
    g_assert_true(in_use);
    g_clear_error(&error);
    hx_image_remove("other", NULL, NULL, NULL, &error);
    g_assert_no_error(error);
    g_assert_false(g_file_test(other, G_FILE_TEST_EXISTS));
    g_assert_cmpint(g_unlink(overlay), ==, 0);
    hx_image_remove("used", NULL, NULL, NULL, &error);
    g_assert_no_error(error);
}

/* An image that nobody uses gives way to another of its name, one that VMs use does not. */
static void test_publish(Fixture *f, const void *unused)
{
    g_autofree char *made = make_image(".one.made");
    g_autofree char *path = g_build_filename(f->state, "images/one", NULL);
    g_autofree char *base = g_build_filename(path, "disk.qcow2", NULL);
    g_autoptr(GError) error = NULL;
    gboolean in_use = TRUE;
    hx_image_publish("one", made, &in_use, &error);
    g_assert_no_error(error);
    g_assert_false(in_use);

    g_autofree char *newer = make_image(".one.newer");
    write_file(newer, "image.json", FETCHED);
    hx_image_publish("one", newer, &in_use, &error);
    g_assert_no_error(error);
    g_assert_false(g_file_test(newer, G_FILE_TEST_EXISTS));
    g_autoptr(HxImage) image = hx_image_open("one", &error);
    g_assert_cmpstr(hx_image_architecture(image), ==, "aarch64");

    g_autofree char *vm = g_build_filename(f->state, "vms/desk", NULL);
    g_assert_cmpint(g_mkdir_with_parents(vm, 0700), ==, 0);
    g_autofree char *overlay = g_build_filename(vm, "disk.qcow2", NULL);
    run_qemu_img(overlay, base);
    g_autofree char *newest = make_image(".one.newest");
    g_assert_false(hx_image_publish("one", newest, &in_use, &error));
    g_assert_error(error, HX_ERROR, HX_ERROR_FAILED);
    g_assert_true(in_use);
    g_assert_true(g_file_test(newest, G_FILE_TEST_EXISTS));
}

typedef struct {
    GMainLoop *loop;
    int held;
    int waited;
} Waiting;

static void count_waiting(void *data)
{
    Waiting *waiting = data;
    waiting->waited++;
    hx_close(&waiting->held);
}

static void test_lock(Fixture *f, const void *unused)
{
    g_autoptr(GError) error = NULL;
    Waiting waiting = {.held = hx_image_lock(NULL, NULL, NULL, &error)};
    g_assert_no_error(error);
    /* The holder lets go when it hears that somebody waits. */
    hx_autofd int lock = hx_image_lock(count_waiting, &waiting, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpint(lock, >=, 0);
    g_assert_cmpint(waiting.waited, ==, 1);

    g_autoptr(GCancellable) cancellable = g_cancellable_new();
    g_cancellable_cancel(cancellable);
    g_assert_cmpint(hx_image_lock(NULL, NULL, cancellable, &error), ==, -1);
    g_assert_error(error, HX_ERROR, HX_ERROR_CANCELLED);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    static const struct {
        const char *path;
        void (*run)(Fixture *f, const void *unused);
    } tests[] = {
        {"/image/open", test_open},   {"/image/bad", test_bad},
        {"/image/list", test_list},   {"/image/architecture", test_architecture},
        {"/image/users", test_users}, {"/image/publish", test_publish},
        {"/image/lock", test_lock},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
        g_test_add(tests[i].path, Fixture, NULL, set_up, tests[i].run, tear_down);
    return g_test_run();
}
