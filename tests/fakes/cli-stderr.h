/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is written to stderr, taken as a terminal or a pipe has it. */
#pragma once

#include <glib.h>

/* What @write writes to stderr, a terminal of @columns, or a pipe where that is 0; for g_free. */
char *test_stderr_of(guint columns, void (*write)(void *data), void *data);
