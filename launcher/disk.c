/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <unistd.h>

#include "launcher/base/error.h"
#include "launcher/base/fd.h"
#include "launcher/base/json.h"
#include "launcher/base/process.h"
#include "launcher/qcow2-header.h"

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

static gint64 virtual_size(JsonObject *info)
{
    return json_object_get_int_member_with_default(info, "virtual-size", 0);
}

/* The bytes that a disk on @base has to have where @size_gib GiB are asked for; -1 with @error. */
static gint64 wanted_size(const char *base, gint64 size_gib, GCancellable *cancel, GError **error)
{
    if (!base)
        return size_gib * GIB;
    g_autoptr(JsonObject) info = image_info(base, cancel, error);
    return info ? MAX(size_gib * GIB, virtual_size(info)) : -1;
}

static gboolean check_base(JsonObject *info, const char *path, const char *base, GError **error)
{
    const char *actual = json_object_get_string_member_with_default(info, "backing-filename", "");
    if (g_str_equal(actual, base ? base : ""))
        return TRUE;
    g_set_error(error, HX_ERROR, HX_ERROR_CONFIG,
                "the VM's disk %s was made on %s, not on %s: set disk.image back, or remove the "
                "disk to start anew",
                path, *actual ? actual : "no base image", base ? base : "no base image");
    return FALSE;
}

/* The bytes that the guest sees of the qcow2 file @path; 0 where there is none. */
static gint64 size_in_header(const char *path)
{
    guint8 bytes[HX_QCOW2_HEADER_SIZE];
    HxQcow2Header header;
    hx_autofd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t length = fd < 0 ? -1 : pread(fd, bytes, sizeof bytes, 0);
    if (length < 0 || !hx_qcow2_header_parse(bytes, length, &header))
        return 0;
    return MIN(header.virtual_size, G_MAXINT64);
}

gboolean hx_disk_check_size(const char *path, gint64 bytes, GError **error)
{
    gint64 there = size_in_header(path);
    if (there <= bytes)
        return TRUE;
    g_set_error(error, HX_ERROR, HX_ERROR_CONFIG,
                "the VM's disk %s has %.1f GiB and cannot be shrunk to %.1f GiB, since what the "
                "guest has there would be lost: set its size to %" G_GINT64_FORMAT " or more",
                path, (double)there / GIB, (double)bytes / GIB, (there + GIB - 1) / GIB);
    return FALSE;
}

/* The disk @path is there: check it, and let it grow. */
static gboolean adapt(const char *path, const char *base, gint64 size_gib, gboolean *ret_grown,
                      GCancellable *cancel, GError **error)
{
    g_autoptr(JsonObject) info = image_info(path, cancel, error);
    if (!info || !check_base(info, path, base, error))
        return FALSE;
    gint64 wanted = wanted_size(base, size_gib, cancel, error);
    if (wanted < 0 || !hx_disk_check_size(path, wanted, error))
        return FALSE;
    *ret_grown = wanted > virtual_size(info);
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
