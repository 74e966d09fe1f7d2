/* SPDX-License-Identifier: GPL-2.0-or-later */
/* helixvm help: list the verbs; `help VERB` is `VERB --help`. */
#include "cli/help.h"
#include "cli/verb.h"

gboolean hx_verb_help(int argc, char **argv, GError **error)
{
    if (!hx_verb_parse("[VERB [ACTION]]", NULL, &argc, &argv, 0, 2, error))
        return FALSE;
    if (argc < 2) {
        hx_help_print(stdout);
        return TRUE;
    }
    char *words[] = {argv[1], argc > 2 ? argv[2] : "--help", argc > 2 ? "--help" : NULL, NULL};
    return hx_verb_dispatch(argc, words, error);
}
