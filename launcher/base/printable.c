/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/base/printable.h"

static char *printable(const char *text, gunichar allowed)
{
    g_autofree char *valid = g_utf8_make_valid(text, -1);
    g_autoptr(GString) result = g_string_new(NULL);
    for (const char *c = valid; *c; c = g_utf8_next_char(c)) {
        gunichar letter = g_utf8_get_char(c);
        g_string_append_unichar(result,
                                letter != allowed && g_unichar_iscntrl(letter) ? '?' : letter);
    }
    return g_string_free(g_steal_pointer(&result), FALSE);
}

char *hx_printable(const char *text)
{
    return printable(text, 0);
}

char *hx_printable_start(const char *text, glong length)
{
    g_autofree char *whole = hx_printable(text);
    return g_utf8_substring(whole, 0, MIN(g_utf8_strlen(whole, -1), length));
}

char *hx_printable_lines(const char *text)
{
    return printable(text, '\n');
}
