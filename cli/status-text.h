/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A VM's status for people: the object that helixvm(1), STATUS, describes, as text. */
#pragma once

#include <json-glib/json-glib.h>

/* All that @status says, several lines; for g_free. */
char *hx_status_text(JsonObject *status);

/* What matters of @status on one line without a newline, as it changes with the VM's state, but not
 * with every frame; for g_free. */
char *hx_status_line(JsonObject *status);

/* @seconds as people read it: "42 s", "12 min", "3 h 07 min", "5 d 02 h"; for g_free. */
char *hx_duration_text(double seconds);
