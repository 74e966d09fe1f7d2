/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <glib.h>

/* The time as files have it, "2026-01-31T12:00:00Z", for g_free. */
char *hx_now_text(void);
