/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a process gives up before it serves a guest.  Theory of operation in sandbox.c.  Programs
 * that use it link libseccomp. */
#pragma once

#include <glib.h>

typedef struct {
    const char *program; /* before what the log says of a refused call: "helixvm-vsock: "; outlives
                            the process's work */
    const char *const *system_calls; /* those that are allowed, by name, ended by NULL */
    gboolean threads;                /* it may start some */
    /* Sockets, ended by NULL, that this process removes when it ends (their directories stay open
     * to that alone); NULL: none. */
    const char *const *removable;
} HxSandbox;

/* Close every descriptor but the standard ones and the @count of @keep (-1: none). */
void hx_sandbox_close_others(const int *keep, unsigned count);

/* Enter the sandbox, for good, while there is one thread.  Every socket that it is to listen on
 * listens already.  Fails with HX_ERROR_HOST.  Where the kernel has no Landlock, that part is left
 * out and the log says so. */
gboolean hx_sandbox_enter(const HxSandbox *sandbox, GError **error);
