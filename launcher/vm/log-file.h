/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A log of one of a VM's processes: the last run's in PATH, the one before in PATH.1, both bounded.
 */
#pragma once

#include <glib.h>

/* How much of a log is kept in each of the two. */
#define HX_LOG_FILE_MAX (1024 * 1024)
/* Beyond this it is cut also where its end cannot be kept. */
#define HX_LOG_FILE_FULL (8 * HX_LOG_FILE_MAX)

/* Open the log @path for a process to append to, mode 0600.  With @anew for a new run: what is
 * there becomes PATH.1.  Returns a descriptor, close-on-exec and the caller's own, or -1 with
 * HX_ERROR_HOST. */
int hx_log_file_open(const char *path, gboolean anew, GError **error);

/* Where @path has grown beyond the bound, make its end PATH.1 and begin it anew.  Its writers go on
 * with their descriptors, which append; what they write between the last look and the cut, a few
 * microseconds, is lost.  On a full disk it stays as it is, to be bounded another time; beyond
 * HX_LOG_FILE_FULL it is cut, and says so. */
void hx_log_file_bound(const char *path);
