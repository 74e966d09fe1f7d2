/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Headers that the real qemu-img writes, and ones that it would not. */
#include "launcher/disk/qcow2-header.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "launcher/base/error.h"
#include "launcher/base/fd.h"
#include "launcher/base/process.h"

/* The start of what `qemu-img create` makes with @option. */
static void create(const char *option, guint8 *start)
{
    g_autofree char *directory = g_dir_make_tmp("helixvm-qcow2-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(directory, "disk", NULL);
    g_autofree char *data = g_strconcat(path, ".data", NULL);
    g_autofree char *options =
        g_str_equal(option, "data_file") ? g_strdup_printf("data_file=%s", data) : g_strdup(option);
    const char *const argv[] = {"qemu-img", "create", "-q", "-f", "qcow2",
                                "-o",       options,  path, "3M", NULL};
    g_autoptr(GError) error = NULL;
    hx_process_run(argv, NULL, NULL, &error);
    g_assert_no_error(error);
    hx_autofd int fd = open(path, O_RDONLY | O_CLOEXEC);
    g_assert_cmpint(read(fd, start, HX_QCOW2_HEADER_SIZE), ==, HX_QCOW2_HEADER_SIZE);
    g_unlink(path);
    g_unlink(data);
    g_assert_cmpint(g_rmdir(directory), ==, 0);
}

static void expect(const guint8 *start, const char *refusal)
{
    HxQcow2Header header;
    g_assert_true(hx_qcow2_header_parse(start, HX_QCOW2_HEADER_SIZE, &header));
    g_autoptr(GError) error = NULL;
    gboolean good = hx_qcow2_header_check_alone(&header, &error);
    g_assert_cmpint(good, ==, !refusal);
    if (!refusal)
        return;
    g_assert_error(error, HX_ERROR, HX_ERROR_FAILED);
    if (!strstr(error->message, refusal))
        g_error("\"%s\" does not say \"%s\"", error->message, refusal);
}

static void test_real(void)
{
    guint8 start[HX_QCOW2_HEADER_SIZE];
    create("compat=1.1", start);
    HxQcow2Header header;
    g_assert_true(hx_qcow2_header_parse(start, sizeof start, &header));
    g_assert_cmpuint(header.version, ==, 3);
    g_assert_cmpuint(header.virtual_size, ==, 3 << 20);
    expect(start, NULL);
    create("compat=0.10", start);
    g_assert_true(hx_qcow2_header_parse(start, sizeof start, &header));
    g_assert_cmpuint(header.version, ==, 2);
    expect(start, NULL);
    create("compression_type=zstd,extended_l2=on", start);
    expect(start, NULL);
    create("data_file", start);
    expect(start, "its data is in another file");
}

static void test_made_up(void)
{
    guint8 start[HX_QCOW2_HEADER_SIZE];
    HxQcow2Header header;
    create("compat=1.1", start);
    for (gsize length = 0; length < sizeof start; length++)
        g_assert_false(hx_qcow2_header_parse(start, length, &header));
    start[79] |= 2;
    expect(start, "corrupt");
    start[79] = 0x80;
    expect(start, "features");
    start[79] = 0;
    start[35] = 1;
    expect(start, "encrypted");
    start[35] = 0;
    start[15] = 200;
    start[19] = 9;
    expect(start, "backing file");
    start[15] = start[19] = 0;
    memset(start + 24, 0, 8);
    expect(start, "no disk's");
    memset(start + 24, 0xff, 8);
    expect(start, "no disk's");
    start[7] = 4;
    g_assert_false(hx_qcow2_header_parse(start, sizeof start, &header));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/qcow2-header/real", test_real);
    g_test_add_func("/qcow2-header/made-up", test_made_up);
    return g_test_run();
}
