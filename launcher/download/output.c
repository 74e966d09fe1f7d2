/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/download/output.h"

#include <errno.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "launcher/base/error.h"

/* What a download leaves of the file system: this, or a twentieth of a small one. */
#define RESERVE (G_GUINT64_CONSTANT(256) << 20)

gboolean hx_output_check_space(int fd, guint64 needed, GError **error)
{
    struct statvfs system;
    if (fstatvfs(fd, &system) < 0)
        return TRUE;
    guint64 all = (guint64)system.f_blocks * system.f_frsize;
    guint64 space = (guint64)system.f_bavail * system.f_frsize;
    guint64 reserve = MIN(RESERVE, all / 20);
    if (space >= reserve && space - reserve >= needed)
        return TRUE;
    g_autofree char *needs = g_format_size_full(needed + reserve, G_FORMAT_SIZE_IEC_UNITS);
    g_autofree char *has = g_format_size_full(space, G_FORMAT_SIZE_IEC_UNITS);
    g_set_error(error, HX_ERROR, HX_ERROR_HOST,
                "the image takes %s more of disk space, with a reserve, and there is %s: make room "
                "where the images are",
                needs, has);
    return FALSE;
}

gboolean hx_output_write(int fd, const void *bytes, gsize size, guint64 offset, GError **error)
{
    while (size > 0) {
        ssize_t written = pwrite(fd, bytes, size, offset);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0) {
            hx_set_error_errno(error, HX_ERROR_HOST, errno, "cannot write the image");
            return FALSE;
        }
        bytes = (const char *)bytes + written;
        offset += written;
        size -= written;
    }
    return TRUE;
}
