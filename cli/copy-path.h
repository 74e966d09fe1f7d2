/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What `cp` copies: a path of the host, or "VM:PATH" of a guest.  Pure. */
#pragma once

#include <glib.h>

typedef struct {
    char *vm; /* NULL: the host */
    char *path;
} HxCopyPath;

/* Read @argument.  A colon before any "/" ends a VM's name ("default" where it is empty), as in
 * scp(1): a file of the host with a colon in its name is "./a:b".  The path in a guest may be
 * empty: the home directory. */
HxCopyPath hx_copy_path_parse(const char *argument);
void hx_copy_path_clear(HxCopyPath *path);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(HxCopyPath, hx_copy_path_clear)

/* What `cp` is to do: all but the last of the @n paths to the last one. */
typedef struct {
    char *vm;       /* the one guest of the copy */
    gboolean out;   /* from the guest to the host */
    char **sources; /* NULL-terminated */
    char *destination;
} HxCopyPlan;

/* HX_ERROR_USAGE where that is not from the host to one guest, or from one guest to the host. */
gboolean hx_copy_plan(char **arguments, int n, HxCopyPlan *ret_plan, GError **error);
void hx_copy_plan_clear(HxCopyPlan *plan);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(HxCopyPlan, hx_copy_plan_clear)
