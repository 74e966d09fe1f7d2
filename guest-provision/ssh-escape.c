/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guest-provision/ssh-escape.h"

#define CTRL_Z '\x1a'

static HxEscapeAct act_of(char c)
{
    switch (c) {
    case '.':
        return HX_ESCAPE_END;
    case CTRL_Z:
        return HX_ESCAPE_SUSPEND;
    case '?':
        return HX_ESCAPE_HELP;
    default:
        return HX_ESCAPE_NONE;
    }
}

gsize hx_escape_filter(HxEscape *escape, const char *in, gsize size, char *out, gsize *ret_size,
                       HxEscapeAct *ret_act)
{
    gsize taken = 0, put = 0;
    *ret_act = HX_ESCAPE_NONE;
    while (taken < size && *ret_act == HX_ESCAPE_NONE) {
        char c = in[taken++];
        gboolean was_pending = escape->pending;
        escape->pending = !was_pending && !escape->in_line && c == '~';
        if (escape->pending)
            continue;
        if (was_pending) {
            *ret_act = act_of(c);
            if (*ret_act != HX_ESCAPE_NONE) /* and a new line begins, for the next escape */
                continue;
            out[put++] = '~';
            escape->in_line = TRUE;
            if (c == '~') /* "~~" is "~" */
                continue;
        }
        out[put++] = c;
        escape->in_line = c != '\r' && c != '\n';
    }
    *ret_size = put;
    return taken;
}
