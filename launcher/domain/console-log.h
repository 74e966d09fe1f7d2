/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a guest's kernel says on its console. */
#pragma once

#include <glib.h>

/* Why the kernel that writes the console's log @path has stopped for good, on one line without
 * control characters, for g_free: its panic, and what its first process said before.  NULL where it
 * has not, as far as the log's last 64 KiB tell; one that panics and starts anew has not. */
char *hx_console_panic(const char *path);
