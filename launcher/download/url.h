/* SPDX-License-Identifier: GPL-2.0-or-later */
/* URLs from which images come: http, https and file.  Pure. */
#pragma once

#include <glib.h>

/* Whether @url is one that images are fetched from: of these schemes, with a host (http, https) or
 * an absolute path (file), and without user and password, which would be seen by all in the list of
 * processes.  HX_ERROR_USAGE. */
gboolean hx_url_check(const char *url, GError **error);

/* Whether @url, which hx_url_check() took, has this scheme. */
gboolean hx_url_has_scheme(const char *url, const char *scheme);

/* The name of the file at @url, "disk.qcow2"; for g_free, NULL where it ends in "/". */
char *hx_url_file_name(const char *url);

/* @url without its query and fragment, which may hold what is nobody's business; for g_free. */
char *hx_url_without_query(const char *url);
