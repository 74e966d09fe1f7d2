/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/disk.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <unistd.h>

#include "launcher/base/error.h"
#include "launcher/base/json.h"
#include "launcher/base/process.h"

#define GIB (G_GINT64_CONSTANT(1) << 30)

/* What `qemu-img info` says of @path. */
static JsonObject *image_info(const char *path, GCancellable *cancel, GError **error)
{
    /* -U: the image may be in use by the VM. */
    const char *const argv[] = {"qemu-img", "info", "-U", "--output=json", path, NULL};
    g_autofree char *json = NULL;
    if (!hx_process_run(argv, &json, cancel, error))
        return NULL;
    JsonObject *info = hx_json_parse_object(json, -1);
    if (!info)
        g_set_error(error, HX_ERROR, HX_ERROR_HOST, "qemu-img says nothing of %s", path);
    return info;
}

static gboolean check_base(const char *path, const char *base, GCancellable *cancel, GError **error)
{
    g_autoptr(JsonObject) info = image_info(path, cancel, error);
    if (!info)
        return FALSE;
    const char *actual = json_object_get_string_member_with_default(info, "backing-filename", "");
    if (g_str_equal(actual, base))
        return TRUE;
    g_set_error(error, HX_ERROR, HX_ERROR_CONFIG,
                "the VM's disk %s was made on %s, not on %s: set disk.image back, or remove the "
                "disk to start anew",
                path, *actual ? actual : "no base image", base);
    return FALSE;
}

gboolean hx_disk_ensure(const char *path, const char *base, gint64 size_gib, uid_t owner,
                        gboolean *ret_created, GCancellable *cancel, GError **error)
{
    *ret_created = FALSE;
    if (g_file_test(path, G_FILE_TEST_EXISTS))
        return check_base(path, base, cancel, error);

    g_autoptr(JsonObject) info = image_info(base, cancel, error);
    if (!info)
        return FALSE;
    gint64 least = json_object_get_int_member_with_default(info, "virtual-size", 0);
    g_autofree char *size = g_strdup_printf("%" G_GINT64_FORMAT, MAX(size_gib * GIB, least));
    g_autofree char *partial = g_strconcat(path, ".partial", NULL);
    const char *const argv[] = {"qemu-img", "create", "-q", "-f",    "qcow2", "-F",
                                "qcow2",    "-b",     base, partial, size,    NULL};
    if (!hx_process_run(argv, NULL, cancel, error)) {
        g_unlink(partial);
        return FALSE;
    }
    if (g_chmod(partial, 0600) < 0 || chown(partial, owner, -1) < 0 ||
        g_rename(partial, path) < 0) {
        hx_set_error_errno(error, HX_ERROR_HOST, errno, "cannot make the VM's disk %s", path);
        g_unlink(partial);
        return FALSE;
    }
    *ret_created = TRUE;
    return TRUE;
}
