/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/disk/qcow2-file.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "launcher/base/error.h"
#include "launcher/base/fd.h"

/* By the format's specification. */
#define BACKING_MAX 1023

gboolean hx_qcow2_read(const char *path, HxQcow2Header *ret_header, char **ret_backing)
{
    guint8 start[HX_QCOW2_HEADER_SIZE];
    *ret_backing = NULL;
    hx_autofd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    gssize length = fd < 0 ? -1 : pread(fd, start, sizeof start, 0);
    if (length < 0 || !hx_qcow2_header_parse(start, length, ret_header))
        return FALSE;
    guint32 size = ret_header->backing_size;
    if (size == 0)
        return ret_header->backing_offset == 0;
    if (size > BACKING_MAX || ret_header->backing_offset > G_MAXUINT32)
        return FALSE;
    g_autofree char *name = g_malloc0(size + 1);
    if (pread(fd, name, size, ret_header->backing_offset) != (ssize_t)size || strlen(name) != size)
        return FALSE;
    *ret_backing = g_steal_pointer(&name);
    return TRUE;
}

gboolean hx_qcow2_read_own(const char *path, HxQcow2Header *ret_header, char **ret_backing,
                           GError **error)
{
    g_autofree char *backing = NULL;
    if (!hx_qcow2_read(path, ret_header, &backing)) {
        g_set_error(error, HX_ERROR, HX_ERROR_CONFIG, "%s is no qcow2 disk that can be read", path);
        return FALSE;
    }
    HxQcow2Header alone = *ret_header;
    alone.backing_offset = alone.backing_size = 0;
    g_autoptr(GError) cause = NULL;
    if (!hx_qcow2_header_check_alone(&alone, &cause)) {
        g_set_error(error, HX_ERROR, HX_ERROR_CONFIG, "%s: %s", path, cause->message);
        return FALSE;
    }
    *ret_backing = g_steal_pointer(&backing);
    return TRUE;
}
