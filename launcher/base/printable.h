/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Text for a terminal that may quote a guest. */
#pragma once

#include <glib.h>

/* @text as valid UTF-8 with '?' for each control character, also the C1 ones, so that it moves no
 * cursor and changes no colour; for g_free. */
char *hx_printable(const char *text);

/* hx_printable() of no more than the first @length characters of @text; for g_free. */
char *hx_printable_start(const char *text, glong length);

/* hx_printable() of several lines, whose ends stay. */
char *hx_printable_lines(const char *text);
