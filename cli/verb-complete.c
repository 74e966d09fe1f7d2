/* SPDX-License-Identifier: GPL-2.0-or-later */
/* helixvm complete -- WORD...: what the shells' scripts ask; not for people.  Prints a line for
 * each candidate, with its description behind a tab. */
#include <stdio.h>

#include "cli/completion.h"
#include "cli/verb.h"

static void print_candidate(const char *word, const char *description, void *data)
{
    printf("%s\t%s\n", word, description ? description : "");
}

gboolean hx_verb_complete(int argc, char **argv, GError **error)
{
    /* The words are another command line: none of them is this verb's option. */
    if (argc > 2 && g_str_equal(argv[1], "--"))
        hx_complete(argv + 2, print_candidate, NULL);
    return TRUE;
}
