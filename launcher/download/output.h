/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The file that a download, or what is unpacked from it, is written to. */
#pragma once

#include <glib.h>

/* HX_ERROR_HOST where the file system of @fd has not @needed bytes and a reserve left. */
gboolean hx_output_check_space(int fd, guint64 needed, GError **error);

/* Write all of @bytes to @fd at @offset.  HX_ERROR_HOST. */
gboolean hx_output_write(int fd, const void *bytes, gsize size, guint64 offset, GError **error);
