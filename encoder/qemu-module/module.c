/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Theory of operation.  libvirt preloads this library into a stock QEMU with two variables in its
 * environment:
 *
 *   HELIXVM_EXPORT_SOCKET  where to listen for helixvm-encoder; without it nothing happens at all
 *   HELIXVM_RENDER_SERVER  another virgl_render_server than the one of the distribution
 *
 * The constructor runs before QEMU's main() and so before its seccomp sandbox, which forbids new
 * processes; it starts the render server that Venus needs, and attaches the listening socket to
 * GLib's default main context, which is QEMU's main loop.  QEMU loads its GL device later, by
 * dlopen(), and finds the functions of virgl.c before those of libvirglrenderer. */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "encoder/qemu-module/module.h"
#include "launcher/base/log.h"

/* Take this library, and nothing else, out of LD_PRELOAD: it is not for QEMU's children. */
static void leave_preload(void)
{
    const char *preload = g_getenv("LD_PRELOAD");
    Dl_info self;
    if (!preload || !dladdr(leave_preload, &self) || !self.dli_fname)
        return;
    g_autoptr(GString) rest = g_string_new(NULL);
    g_auto(GStrv) names = g_strsplit_set(preload, ": ", -1);
    for (char **name = names; *name; name++) {
        if (**name && strcmp(*name, self.dli_fname) != 0)
            g_string_append_printf(rest, "%s%s", rest->len ? ":" : "", *name);
    }
    if (rest->len)
        g_setenv("LD_PRELOAD", rest->str, TRUE);
    else
        g_unsetenv("LD_PRELOAD");
}

__attribute__((constructor)) static void start_module(void)
{
    g_autofree char *path = g_strdup(g_getenv("HELIXVM_EXPORT_SOCKET"));
    if (!path || !*path)
        return;
    leave_preload();
    g_unsetenv("HELIXVM_EXPORT_SOCKET");
    hx_log_init("helixvm-export", TRUE);
    hx_render_server_start();
    hx_export_listen(path);
}
