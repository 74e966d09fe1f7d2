/* SPDX-License-Identifier: GPL-2.0-or-later */
/* helixvm version: what runs here. */
#include <stdio.h>

#include "cli/verb.h"

gboolean hx_verb_version(int argc, char **argv, GError **error)
{
    if (!hx_verb_parse("", NULL, &argc, &argv, 0, 0, error))
        return FALSE;
    puts("helixvm " HELIXVM_VERSION);
    return TRUE;
}
