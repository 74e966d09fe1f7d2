/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lists in a profile's values, as GKeyFile has them. */
#pragma once

#include <glib.h>

/* What @value separates by ';', for g_strfreev: none where it is empty.  A list may end with its
 * separator; all other items may be empty, and none is stripped of white space. */
char **hx_list_split(const char *value);
