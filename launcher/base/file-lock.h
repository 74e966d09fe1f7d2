/* SPDX-License-Identifier: GPL-2.0-or-later */
/* flock(2) on files that their owners remove: the kernel gives the lock back whatever ends its
 * holder. */
#pragma once

#include <glib.h>

/* Lock the file at @path for this open file description alone, making it where it is missing;
 * follows no link there and does not wait.  Who ends with it removes the file first, then closes
 * it. Returns a descriptor, close-on-exec; -EWOULDBLOCK where somebody else holds the lock; another
 * negative errno. */
int hx_lock_file(const char *path);

/* Whether the open @fd is still what lies at @path, and not a file that was removed or replaced. */
gboolean hx_is_file_at(int fd, const char *path);
