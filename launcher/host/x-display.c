/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/host/x-display.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "launcher/base/fd.h"
#include "launcher/base/unix-socket.h"

void hx_x_display_remove(HxVm *vm)
{
    g_autofree char *number = NULL;
    if (!g_file_get_contents(hx_vm_runtime_path(vm, "display"), &number, NULL, NULL))
        return;
    g_autofree char *path = g_strdup_printf("/tmp/.X11-unix/X%d", atoi(number));
    hx_autofd int fd = hx_unix_connect(path, SOCK_STREAM);
    if (fd == -ECONNREFUSED)
        unlink(path);
}
