/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/image/initrd.h"

#include <string.h>
#include <sys/stat.h>

#include "launcher/base/error.h"

#define ALIGNMENT 4

typedef struct {
    GByteArray *bytes;
    guint entries;
} Archive;

static void pad(Archive *archive)
{
    static const guint8 zeros[ALIGNMENT];
    guint over = archive->bytes->len % ALIGNMENT;
    if (over)
        g_byte_array_append(archive->bytes, zeros, ALIGNMENT - over);
}

static void add(Archive *archive, const char *name, guint mode, const char *data, gsize size)
{
    guint fields[13] = {0};
    fields[0] = ++archive->entries; /* inode */
    fields[1] = mode;
    fields[4] = S_ISDIR(mode) ? 2 : 1; /* links */
    fields[6] = size;
    fields[11] = strlen(name) + 1;
    g_byte_array_append(archive->bytes, (const guint8 *)"070701", 6);
    for (size_t i = 0; i < G_N_ELEMENTS(fields); i++) {
        char text[9];
        g_snprintf(text, sizeof text, "%08X", fields[i]);
        g_byte_array_append(archive->bytes, (const guint8 *)text, 8);
    }
    g_byte_array_append(archive->bytes, (const guint8 *)name, strlen(name) + 1);
    pad(archive);
    g_byte_array_append(archive->bytes, (const guint8 *)data, size);
    pad(archive);
}

static gboolean add_file(Archive *archive, const char *name, guint mode, const char *path,
                         GError **error)
{
    g_autofree char *data = NULL;
    gsize size = 0;
    g_autoptr(GError) cause = NULL;
    if (!g_file_get_contents(path, &data, &size, &cause)) {
        g_set_error(error, HX_ERROR, HX_ERROR_FAILED, "cannot make the initial ramdisk: %s",
                    cause->message);
        return FALSE;
    }
    add(archive, name, mode, data, size);
    return TRUE;
}

static GPtrArray *sorted_names(const char *path, GError **error)
{
    g_autoptr(GError) cause = NULL;
    g_autoptr(GDir) directory = g_dir_open(path, 0, &cause);
    if (!directory) {
        g_set_error(error, HX_ERROR, HX_ERROR_FAILED, "cannot make the initial ramdisk: %s",
                    cause->message);
        return NULL;
    }
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    for (const char *name; (name = g_dir_read_name(directory));)
        g_ptr_array_add(names, g_strdup(name));
    g_ptr_array_sort_values(names, (GCompareFunc)strcmp);
    return names;
}

gboolean hx_initrd_write(const char *path, const char *init, const char *modules, GError **error)
{
    g_autoptr(GPtrArray) names = sorted_names(modules, error);
    if (!names)
        return FALSE;
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    Archive archive = {.bytes = bytes};
    if (!add_file(&archive, "init", S_IFREG | 0755, init, error))
        return FALSE;
    add(&archive, "modules", S_IFDIR | 0755, "", 0);
    for (guint i = 0; i < names->len; i++) {
        g_autofree char *name = g_build_filename("modules", names->pdata[i], NULL);
        g_autofree char *file = g_build_filename(modules, names->pdata[i], NULL);
        if (!add_file(&archive, name, S_IFREG | 0644, file, error))
            return FALSE;
    }
    add(&archive, "TRAILER!!!", 0, "", 0);
    g_autoptr(GError) cause = NULL;
    if (!g_file_set_contents(path, (const char *)bytes->data, bytes->len, &cause)) {
        g_set_error(error, HX_ERROR, HX_ERROR_FAILED, "cannot write the initial ramdisk: %s",
                    cause->message);
        return FALSE;
    }
    return TRUE;
}
