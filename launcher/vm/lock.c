/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/vm/lock.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <unistd.h>

#include "launcher/base/error.h"
#include "launcher/base/fd.h"
#include "launcher/base/file-lock.h"

/* The lock alone, without the directories of what it locks. */
static int take(HxVm *vm, GError **error)
{
    const char *path = hx_vm_lock_path(vm);
    if (!hx_vm_create_lock_directory(vm, error))
        return -1;
    int fd = hx_lock_file(path);
    if (fd == -EWOULDBLOCK)
        g_set_error(error, HX_ERROR, HX_ERROR_FAILED,
                    "VM \"%s\" is in use: another helixvm starts, runs or removes it",
                    hx_vm_name(vm));
    else if (fd < 0)
        hx_set_error_errno(error, HX_ERROR_HOST, -fd, "cannot take the lock %s", path);
    return fd < 0 ? -1 : fd;
}

int hx_vm_lock(HxVm *vm, GError **error)
{
    int fd = take(vm, error);
    /* Only now: an ending owner removes what it finds empty. */
    if (fd < 0 || hx_vm_create_directories(vm, error))
        return fd;
    hx_vm_unlock(vm, fd);
    return -1;
}

/* Remove what is in @directory, one level of folders deep. */
static void empty(const char *directory, int depth)
{
    g_autoptr(GDir) entries = g_dir_open(directory, 0, NULL);
    const char *name;
    while (entries && (name = g_dir_read_name(entries))) {
        g_autofree char *path = g_build_filename(directory, name, NULL);
        if (g_unlink(path) == 0 || depth > 0)
            continue;
        empty(path, depth + 1);
        g_rmdir(path);
    }
}

void hx_vm_clear_runtime(HxVm *vm)
{
    empty(hx_vm_runtime_path(vm, NULL), 0);
}

void hx_vm_unlock(HxVm *vm, int fd)
{
    hx_vm_clear_runtime(vm);
    g_rmdir(hx_vm_runtime_path(vm, NULL));
    /* Where there is no VM, nothing stays of the directories that its lock asked for. */
    if (!g_file_test(hx_vm_state_path(vm, "profile.conf"), G_FILE_TEST_EXISTS) &&
        g_rmdir(hx_vm_state_path(vm, "secrets")) == 0)
        g_rmdir(hx_vm_state_path(vm, NULL));
    unlink(hx_vm_lock_path(vm)); /* last: from here on another may own all of that */
    hx_close(&fd);
}
