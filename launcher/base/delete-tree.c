/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/base/delete-tree.h"

#include "launcher/base/process.h"

gboolean hx_delete_tree(const char *path, GError **error)
{
    const char *const argv[] = {"rm", "-rf", "--one-file-system", "--", path, NULL};
    return hx_process_run(argv, NULL, NULL, error);
}
