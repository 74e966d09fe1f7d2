/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What an output can show. */
#pragma once

#include <glib.h>

/* Whether @fd is a terminal that moves its cursor and has colours: TERM is not "dumb". */
gboolean hx_screen_is(int fd);

/* The columns of the terminal @fd; 80 where it does not tell. */
guint hx_screen_width(int fd);
