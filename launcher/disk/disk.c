/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/disk/disk.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <unistd.h>

#include "launcher/base/error.h"
#include "launcher/base/json.h"
#include "launcher/base/process.h"
#include "launcher/disk/qcow2-file.h"

#define GIB (G_GINT64_CONSTANT(1) << 30)

/* What `qemu-img info` says of the base image @path. */
static JsonObject *image_info(const char *path, GCancellable *cancel, GError **error)
{
    /* -U: VMs have it in use. */
    const char *const argv[] = {"qemu-img", "info",          "-U", "-f",
                                "qcow2",    "--output=json", path, NULL};
    g_autofree char *json = NULL;
    if (!hx_process_run(argv, &json, cancel, error))
        return NULL;
    JsonObject *info = hx_json_parse_object(json, -1);
    if (!info)
        g_set_error(error, HX_ERROR, HX_ERROR_HOST, "qemu-img says nothing of %s", path);
    return info;
}

static gint64 virtual_size(JsonObject *info)
{
    return hx_json_integer(info, "virtual-size");
}

/* The bytes that a disk on @base has to have where @size_gib GiB are asked for; -1 with @error. */
static gint64 wanted_size(const char *base, gint64 size_gib, GCancellable *cancel, GError **error)
{
    if (!base)
        return size_gib * GIB;
    g_autoptr(JsonObject) info = image_info(base, cancel, error);
    return info ? MAX(size_gib * GIB, virtual_size(info)) : -1;
}

static gboolean check_base(const char *actual, const char *path, const char *base, GError **error)
{
    if (g_strcmp0(actual, base) == 0)
        return TRUE;
    /* It may be the guest's text. */
    g_autofree char *shown = actual ? g_strescape(actual, NULL) : g_strdup("no base image");
    g_set_error(error, HX_ERROR, HX_ERROR_CONFIG,
                "the VM's disk %s was made on %s, not on %s: set disk.image back, or remove the "
                "disk to start anew",
                path, shown, base ? base : "no base image");
    return FALSE;
}

gboolean hx_disk_check_size(const char *path, gint64 bytes, GError **error)
{
    HxQcow2Header header;
    g_autofree char *backing = NULL;
    guint64 there = hx_qcow2_read(path, &header, &backing) ? header.virtual_size : 0;
    if (bytes >= 0 && there <= (guint64)bytes)
        return TRUE;
    g_set_error(error, HX_ERROR, HX_ERROR_CONFIG,
                "the VM's disk %s has %.1f GiB and cannot be shrunk to %.1f GiB, since what the "
                "guest has there would be lost: set its size to %" G_GUINT64_FORMAT " or more",
                path, (double)there / GIB, (double)bytes / GIB, there / GIB + (there % GIB != 0));
    return FALSE;
}

/* The disk @path is there: check it, and let it grow. */
static gboolean adapt(const char *path, const char *base, gint64 size_gib, gboolean *ret_grown,
                      GCancellable *cancel, GError **error)
{
    HxQcow2Header header;
    g_autofree char *backing = NULL;
    if (!hx_qcow2_read_own(path, &header, &backing, error) ||
        !check_base(backing, path, base, error))
        return FALSE;
    gint64 wanted = wanted_size(base, size_gib, cancel, error);
    if (wanted < 0 || !hx_disk_check_size(path, wanted, error))
        return FALSE;
    *ret_grown = (guint64)wanted > header.virtual_size;
    g_autofree char *size = g_strdup_printf("%" G_GINT64_FORMAT, wanted);
    const char *const argv[] = {"qemu-img", "resize", "-q", "-f", "qcow2", path, size, NULL};
    return !*ret_grown || hx_process_run(argv, NULL, cancel, error);
}

static gboolean create(const char *path, const char *base, gint64 size_gib, uid_t owner,
                       GCancellable *cancel, GError **error)
{
    gint64 bytes = wanted_size(base, size_gib, cancel, error);
    if (bytes < 0)
        return FALSE;
    g_autofree char *size = g_strdup_printf("%" G_GINT64_FORMAT, bytes);
    g_autofree char *partial = g_strconcat(path, ".partial", NULL);
    const char *const empty[] = {"qemu-img", "create", "-q", "-f", "qcow2", partial, size, NULL};
    const char *const overlay[] = {"qemu-img", "create", "-q", "-f",    "qcow2", "-F",
                                   "qcow2",    "-b",     base, partial, size,    NULL};
    if (!hx_process_run(base ? overlay : empty, NULL, cancel, error)) {
        g_unlink(partial);
        return FALSE;
    }
    if (g_chmod(partial, 0600) == 0 && chown(partial, owner, -1) == 0 &&
        g_rename(partial, path) == 0)
        return TRUE;
    hx_set_error_errno(error, HX_ERROR_HOST, errno, "cannot make the VM's disk %s", path);
    g_unlink(partial);
    return FALSE;
}

gboolean hx_disk_ensure(const char *path, const char *base, gint64 size_gib, uid_t owner,
                        HxDiskChange *ret_change, GCancellable *cancel, GError **error)
{
    gboolean grown = FALSE;
    if (!g_file_test(path, G_FILE_TEST_EXISTS)) {
        *ret_change = HX_DISK_CREATED;
        return create(path, base, size_gib, owner, cancel, error);
    }
    if (!adapt(path, base, size_gib, &grown, cancel, error))
        return FALSE;
    *ret_change = grown ? HX_DISK_GROWN : HX_DISK_KEPT;
    return TRUE;
}
