/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/image/accept.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "launcher/base/error.h"
#include "launcher/base/fd.h"
#include "launcher/base/process.h"
#include "launcher/disk/qcow2-header.h"
#include "launcher/download/output.h"

#define START_SIZE 1024
#define SECTOR 512

/* What else is offered for download, and is no disk that boots here. */
static const char *other_format(const guint8 *start, gsize length)
{
    static const struct {
        gsize offset;
        const char *bytes;
        const char *what;
    } formats[] = {
        {0, "KDMV", "a VMDK disk"},       {0, "vhdxfile", "a VHDX disk"},
        {0, "conectix", "a VHD disk"},    {64, "\x7f\x10\xda\xbe", "a VDI disk"},
        {0, "<!DOCTYPE", "an HTML page"}, {0, "<html", "an HTML page"},
        {0, "PK\x03\x04", "a ZIP file"},  {257, "ustar", "a tar archive"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(formats); i++) {
        gsize size = strlen(formats[i].bytes);
        if (length >= formats[i].offset + size &&
            g_ascii_strncasecmp((const char *)start + formats[i].offset, formats[i].bytes, size) ==
                0)
            return formats[i].what;
    }
    return NULL;
}

/* The boot sector's signature, which GPT's protective one has too. */
static gboolean is_raw_disk(const guint8 *start, gsize length)
{
    return length >= START_SIZE && start[SECTOR - 2] == 0x55 && start[SECTOR - 1] == 0xaa;
}

static gboolean check_qcow2(const char *path, const HxQcow2Header *header,
                            GCancellable *cancellable, GError **error)
{
    if (!hx_qcow2_header_check_alone(header, error))
        return FALSE;
    /* Clusters that nothing refers to are no fault of the data, but are not kept either. */
    const char *const argv[] = {"qemu-img", "check", "-q", "-f", "qcow2",
                                "-r",       "leaks", path, NULL};
    g_autoptr(GError) cause = NULL;
    if (hx_process_run(argv, NULL, cancellable, &cause))
        return TRUE;
    if (!g_error_matches(cause, HX_ERROR, HX_ERROR_FAILED)) {
        g_propagate_error(error, g_steal_pointer(&cause));
        return FALSE;
    }
    g_set_error(error, HX_ERROR, HX_ERROR_FAILED, "the disk is damaged or cut off: %s",
                cause->message);
    return FALSE;
}

static gboolean convert_raw(int fd, const char *path, GCancellable *cancellable, GError **error)
{
    struct stat raw;
    if (fstat(fd, &raw) == 0 && !hx_output_check_space(fd, (guint64)raw.st_blocks * 512, error))
        return FALSE;
    g_autofree char *converted = g_strconcat(path, ".converted", NULL);
    const char *const argv[] = {"qemu-img", "convert", "-q", "-f",      "raw",
                                "-O",       "qcow2",   path, converted, NULL};
    if (!hx_process_run(argv, NULL, cancellable, error))
        return FALSE;
    if (g_rename(converted, path) == 0)
        return TRUE;
    hx_set_error_errno(error, HX_ERROR_HOST, errno, "cannot make %s", path);
    return FALSE;
}

gboolean hx_image_accept(const char *path, void (*working)(const char *phase, void *data),
                         void *data, guint64 *ret_virtual_size, GCancellable *cancellable,
                         GError **error)
{
    hx_autofd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    guint8 start[START_SIZE];
    struct stat file;
    gssize length = fd < 0 ? -1 : pread(fd, start, sizeof start, 0);
    if (length < 0 || fstat(fd, &file) < 0) {
        hx_set_error_errno(error, HX_ERROR_HOST, errno, "cannot read %s", path);
        return FALSE;
    }
    HxQcow2Header header;
    if (hx_qcow2_header_parse(start, length, &header)) {
        *ret_virtual_size = header.virtual_size;
        if (working)
            working("checking the disk", data);
        return check_qcow2(path, &header, cancellable, error);
    }
    const char *other = other_format(start, length);
    if (other || !is_raw_disk(start, length)) {
        g_set_error(
            error, HX_ERROR, HX_ERROR_FAILED,
            "the file is no disk that can be used: neither qcow2 nor a raw disk that boots%s%s",
            other ? ", but " : "", other ?: "");
        return FALSE;
    }
    /* QEMU rounds up to sectors. */
    *ret_virtual_size = ((guint64)file.st_size + SECTOR - 1) / SECTOR * SECTOR;
    if (working)
        working("converting the disk", data);
    return convert_raw(fd, path, cancellable, error);
}
