/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Settings of a session, "KEY=VALUE", put into its configuration.  Pure. */
#pragma once

#include <glib.h>

/* The session configuration @text ("": a new one) with @settings, NULL-terminated, in place of what
 * it says for their keys; of the same key the last one counts, comments and other keys stay.  The
 * very same text where it says all that already.  For g_free; NULL with HX_ERROR_USAGE where a
 * session would not take it, which tells what it takes. */
char *hx_session_settings_apply(const char *text, const char *const *settings, GError **error);

/* Add the settings of a size "WIDTHxHEIGHT".  HX_ERROR_USAGE. */
gboolean hx_session_settings_add_size(GPtrArray *settings, const char *size, GError **error);
