/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Text for a terminal that may quote a guest. */
#pragma once

#include <glib.h>

/* @text as valid UTF-8 with '?' for each control character, also the C1 ones, so that it moves no
 * cursor and changes no colour; for g_free. */
char *hx_printable(const char *text);

/* The same of several lines, whose ends stay. */
char *hx_printable_lines(const char *text);
