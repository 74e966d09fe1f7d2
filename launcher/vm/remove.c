/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/vm/remove.h"

#include <errno.h>
#include <glib/gstdio.h>

#include "launcher/base/delete-tree.h"
#include "launcher/base/error.h"

/* No VM's name begins like this. */
#define REMOVED_PREFIX ".removed-"

gboolean hx_vm_remove(HxVm *vm, GError **error)
{
    const char *directory = hx_vm_state_path(vm, NULL);
    g_autofree char *vms = g_path_get_dirname(directory);
    g_autofree char *id = g_uuid_string_random();
    g_autofree char *aside = g_strconcat(vms, "/" REMOVED_PREFIX, id, NULL);
    if (g_rename(directory, aside) < 0) {
        hx_set_error_errno(error, HX_ERROR_HOST, errno, "cannot remove %s", directory);
        return FALSE;
    }
    /* Somebody else's sweep may be at it, too. */
    g_autoptr(GError) cause = NULL;
    if (!hx_delete_tree(aside, &cause) && g_file_test(aside, G_FILE_TEST_EXISTS)) {
        g_propagate_error(error, g_steal_pointer(&cause));
        return FALSE;
    }
    return TRUE;
}

void hx_vm_sweep_removed(HxVm *vm)
{
    g_autofree char *vms = g_path_get_dirname(hx_vm_state_path(vm, NULL));
    g_autoptr(GDir) directory = g_dir_open(vms, 0, NULL);
    const char *name;
    while (directory && (name = g_dir_read_name(directory))) {
        if (!g_str_has_prefix(name, REMOVED_PREFIX))
            continue;
        g_autofree char *path = g_build_filename(vms, name, NULL);
        hx_delete_tree(path, NULL);
    }
}
