/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/vm/disk-use.h"

#include <sys/stat.h>

#define BLOCK 512 /* of st_blocks, stat(2) */

gint64 hx_disk_use(HxVm *vm)
{
    gint64 bytes = 0;
    struct stat status;
    g_autoptr(GDir) directory = g_dir_open(hx_vm_state_path(vm, NULL), 0, NULL);
    const char *name;
    while (directory && (name = g_dir_read_name(directory)))
        if (g_str_has_suffix(name, ".qcow2") && stat(hx_vm_state_path(vm, name), &status) == 0)
            bytes += (gint64)status.st_blocks * BLOCK;
    return bytes;
}
