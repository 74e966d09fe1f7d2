/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <glib.h>

/* Delete the file or directory @path and what is in it, without following links or crossing into
 * another file system.  TRUE where there is none; HX_ERROR_FAILED as hx_process_run(), of which it
 * is made.  Blocks; any thread. */
gboolean hx_delete_tree(const char *path, GError **error);
