/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What of the typed bytes is for this side. */
#include "guest-provision/ssh-escape.h"

#include <string.h>

/* Type @typed, @chunk bytes at a time: what goes to the guest, with the escapes in their places as
 * "<E>", "<S>" and "<H>". */
static char *type(const char *typed, gsize chunk)
{
    HxEscape escape = {0};
    g_autoptr(GString) text = g_string_new(NULL);
    static const char *const marks[] = {"", "<E>", "<S>", "<H>"};
    gsize length = strlen(typed);
    for (gsize at = 0; at < length;) {
        char out[64];
        gsize size = 0;
        HxEscapeAct act;
        gsize part = MIN(chunk, length - at);
        gsize taken = hx_escape_filter(&escape, typed + at, part, out, &size, &act);
        g_assert_cmpuint(taken, <=, part);
        g_assert_cmpuint(taken, >, 0);
        g_assert_cmpuint(size, <=, 2 * part);
        g_string_append_len(text, out, size);
        g_string_append(text, marks[act]);
        at += taken;
    }
    return g_string_free(g_steal_pointer(&text), FALSE);
}

static void test_escapes(void)
{
    static const struct {
        const char *typed, *expected;
    } cases[] = {
        {"ls\r", "ls\r"},    {"~.", "<E>"},        {"\r~.", "\r<E>"},
        {"a\n~.", "a\n<E>"}, {"a~.", "a~."},       {"cd ~/x\r", "cd ~/x\r"},
        {"~/x\r", "~/x\r"},  {"~~.\r", "~.\r"},    {"~~~\r", "~~\r"},
        {"~?~.", "<H><E>"},  {"~\x1als", "<S>ls"}, {"~x~.", "~x~."},
        {"~\r~.", "~\r<E>"}, {"\r~", "\r"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
        for (gsize chunk = 1; chunk < 8; chunk++) {
            g_autofree char *got = type(cases[i].typed, chunk);
            g_assert_cmpstr(got, ==, cases[i].expected);
        }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ssh-escape", test_escapes);
    return g_test_run();
}
