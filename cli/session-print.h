/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sessions as people and programs read them. */
#pragma once

#include <json-glib/json-glib.h>

#include "guest-provision/guest-session.h"

typedef struct {
    const HxGuestSession *session;
    JsonObject *told; /* its own statistics; NULL: it serves nobody, or does not answer */
} HxSessionRow;

/* The object of @row, as helixvm(1) describes it for `session list`. */
void hx_session_print_build(const HxSessionRow *row, JsonBuilder *builder);

/* The @n @rows as a table, lines with their ends, for g_free. */
char *hx_session_print_table(const HxSessionRow *rows, guint n);
