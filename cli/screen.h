/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What an output can show. */
#pragma once

#include <glib.h>
#include <stdio.h>

/* Whether @fd is a terminal that moves its cursor and has colours: TERM is not "dumb". */
gboolean hx_screen_is(int fd);

/* The columns of the terminal @fd; 80 where it does not tell. */
guint hx_screen_width(int fd);

/* Write @text, whose first line begins in column @column, to @to, and a newline.  On a terminal it
 * is broken at blanks where it would be wider, and goes on in @column; where that leaves less than
 * half of it, on a line of its own, eight columns in. */
void hx_screen_print(FILE *to, const char *text, guint column);
