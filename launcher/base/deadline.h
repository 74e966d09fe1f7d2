/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <glib.h>

/* The time until @deadline, g_get_monotonic_time()'s, in microseconds: 0 where it is past, and
 * never less, which to most waits means without end.  MAX() does not do it: it reads the clock
 * twice, and a process may lose its CPU in between.  Any thread. */
gint64 hx_time_left(gint64 deadline);
