/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a user types to this side of an SSH connection and not to the guest: "~" at the begin of a
 * line, and a character (ssh(1), ESCAPE CHARACTERS).  Pure. */
#pragma once

#include <glib.h>

typedef enum {
    HX_ESCAPE_NONE,
    HX_ESCAPE_END,     /* "~." */
    HX_ESCAPE_SUSPEND, /* "~^Z" */
    HX_ESCAPE_HELP,    /* "~?" */
} HxEscapeAct;

/* Zero-initialized at the begin of a connection, which is the begin of a line. */
typedef struct {
    gboolean in_line; /* the line has begun */
    gboolean pending; /* a "~" waits for its character */
} HxEscape;

/* Take bytes of @in, up to and with the first escape: returns how many.  What is for the guest goes
 * to @out, at most twice as many, with their number in @ret_size; what the escape asks for to
 * @ret_act. */
gsize hx_escape_filter(HxEscape *escape, const char *in, gsize size, char *out, gsize *ret_size,
                       HxEscapeAct *ret_act);
