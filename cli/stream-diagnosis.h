/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where the way of a frame broke of which none came.  Pure. */
#pragma once

#include <json-glib/json-glib.h>

/* The stage that broke and how, for people, from @session, the answer to its GET /statistics, and
 * @encoder, helixvm-encoder's statistics; either is NULL where there was no answer.  What else
 * stands in the way of pictures is told behind it: a guest that renders in software, a host that
 * does not read resources.  A guest's words are made harmless.  For g_free. */
char *hx_stream_diagnose(JsonObject *session, JsonObject *encoder);
