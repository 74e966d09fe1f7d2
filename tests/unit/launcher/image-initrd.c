/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/image/initrd.h"

#include <glib/gstdio.h>
#include <string.h>

#include "launcher/base/delete-tree.h"
#include "launcher/base/error.h"

typedef struct {
    char *name;
    guint mode;
    const char *data;
    guint size;
} Entry;

/* Reads one entry of a "newc" archive at @offset as the kernel does, and moves @offset behind it.
 */
static Entry read_entry(const char *bytes, gsize length, gsize *offset)
{
    const char *header = bytes + *offset;
    g_assert_cmpuint(*offset % 4, ==, 0);
    g_assert_cmpuint(*offset + 110, <=, length);
    g_assert_cmpint(memcmp(header, "070701", 6), ==, 0);
    guint fields[13];
    for (int i = 0; i < 13; i++) {
        g_autofree char *text = g_strndup(header + 6 + 8 * i, 8);
        fields[i] = g_ascii_strtoull(text, NULL, 16);
    }
    gsize data = (*offset + 110 + fields[11] + 3) & ~(gsize)3;
    gsize end = (data + fields[6] + 3) & ~(gsize)3;
    g_assert_cmpuint(end, <=, length);
    g_assert_cmpint(header[110 + fields[11] - 1], ==, '\0');
    Entry entry = {(char *)header + 110, fields[1], bytes + data, fields[6]};
    *offset = end;
    return entry;
}

static void write_file(const char *directory, const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(directory, name, NULL);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void test_archive(void)
{
    g_autofree char *top = g_dir_make_tmp("helixvm-initrd-XXXXXX", NULL);
    g_autofree char *modules = g_build_filename(top, "modules", NULL);
    g_autofree char *init = g_build_filename(top, "init", NULL);
    g_autofree char *archive = g_build_filename(top, "initrd", NULL);
    g_assert_cmpint(g_mkdir(modules, 0755), ==, 0);
    write_file(top, "init", "the program");
    write_file(modules, "101-second.ko", "22");
    write_file(modules, "100-first.ko", "1");

    g_autoptr(GError) error = NULL;
    hx_initrd_write(archive, init, modules, &error);
    g_assert_no_error(error);
    g_autofree char *bytes = NULL;
    gsize length = 0;
    g_assert_true(g_file_get_contents(archive, &bytes, &length, NULL));

    static const Entry expected[] = {
        {(char *)"init", 0100755, "the program", 11},
        {(char *)"modules", 0040755, "", 0},
        {(char *)"modules/100-first.ko", 0100644, "1", 1},
        {(char *)"modules/101-second.ko", 0100644, "22", 2},
        {(char *)"TRAILER!!!", 0, "", 0},
    };
    gsize offset = 0;
    for (size_t i = 0; i < G_N_ELEMENTS(expected); i++) {
        Entry entry = read_entry(bytes, length, &offset);
        g_assert_cmpstr(entry.name, ==, expected[i].name);
        g_assert_cmpuint(entry.mode, ==, expected[i].mode);
        g_assert_cmpmem(entry.data, entry.size, expected[i].data, expected[i].size);
    }
    g_assert_cmpuint(offset, ==, length);

    g_assert_cmpint(g_unlink(init), ==, 0);
    g_assert_false(hx_initrd_write(archive, init, modules, &error));
    g_assert_error(error, HX_ERROR, HX_ERROR_FAILED);
    g_assert_nonnull(strstr(error->message, init));
    g_assert_true(hx_delete_tree(top, NULL));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/image-initrd/archive", test_archive);
    return g_test_run();
}
