/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/printable.h"

char *hx_printable(const char *text)
{
    g_autofree char *valid = g_utf8_make_valid(text, -1);
    g_autoptr(GString) result = g_string_new(NULL);
    for (const char *c = valid; *c; c = g_utf8_next_char(c)) {
        gunichar letter = g_utf8_get_char(c);
        g_string_append_unichar(result, g_unichar_iscntrl(letter) ? '?' : letter);
    }
    return g_string_free(g_steal_pointer(&result), FALSE);
}
