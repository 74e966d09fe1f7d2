/* SPDX-License-Identifier: GPL-2.0-or-later */
/* helixvm try-venus: started by `doctor`, not by people. */
#include <stdio.h>

#include "cli/verb.h"
#include "launcher/doctor/venus-trial.h"

gboolean hx_verb_try_venus(int argc, char **argv, GError **error)
{
    if (!hx_verb_parse("", NULL, &argc, &argv, 0, 0, error))
        return FALSE;
    g_autofree char *found = hx_venus_try(error);
    if (!found)
        return FALSE;
    printf("venus: %s\n", found);
    return TRUE;
}
