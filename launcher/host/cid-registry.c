/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/host/cid-registry.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "launcher/base/directories.h"
#include "launcher/base/error.h"
#include "launcher/base/fd.h"
#include "launcher/base/file-lock.h"

/* No VM can have this name. */
#define FOLDER ".cids"

/* The file of @cid, for g_free; NULL with @error. */
static char *path_of(guint32 cid, GError **error)
{
    g_autofree char *runtime = hx_runtime_directory(error);
    if (!runtime)
        return NULL;
    g_autofree char *name = g_strdup_printf("%u", cid);
    return g_build_filename(runtime, FOLDER, name, NULL);
}

static gboolean make_folder(GError **error)
{
    g_autofree char *runtime = hx_runtime_directory(error);
    if (!runtime)
        return FALSE;
    g_autofree char *path = g_build_filename(runtime, FOLDER, NULL);
    if (mkdir(path, 0700) == 0 || errno == EEXIST)
        return TRUE;
    hx_set_error_errno(error, HX_ERROR_HOST, errno, "cannot make the directory %s", path);
    return FALSE;
}

int hx_cid_take(guint32 *ret_cid, GError **error)
{
    if (!make_folder(error))
        return -1;
    for (guint32 cid = HX_CID_FIRST; cid < HX_CID_FIRST + HX_CID_COUNT; cid++) {
        g_autofree char *path = path_of(cid, error);
        if (!path)
            return -1;
        int fd = hx_lock_file(path);
        if (fd >= 0) {
            *ret_cid = cid;
            return fd;
        }
        if (fd != -EWOULDBLOCK) {
            hx_set_error_errno(error, HX_ERROR_HOST, -fd, "cannot lock %s", path);
            return -1;
        }
    }
    g_set_error(error, HX_ERROR, HX_ERROR_HOST, "all %d vsock CIDs are taken by running VMs",
                HX_CID_COUNT);
    return -1;
}

void hx_cid_release(guint32 cid, int *fd)
{
    if (*fd < 0)
        return;
    g_autofree char *path = path_of(cid, NULL);
    if (path)
        unlink(path);
    hx_close(fd);
}
