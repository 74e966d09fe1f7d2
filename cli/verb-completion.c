/* SPDX-License-Identifier: GPL-2.0-or-later */
/* helixvm completion: print the script by which a shell asks `helixvm complete`. */
#include <stdio.h>

#include "cli/verb.h"
#include "launcher/base/error.h"
#include "launcher/base/parts.h"

gboolean hx_verb_completion(int argc, char **argv, GError **error)
{
    static const char *const shells[] = {"bash", "zsh", "fish", NULL};
    if (!hx_verb_parse("bash|zsh|fish", NULL, &argc, &argv, 1, 1, error))
        return FALSE;
    if (!g_strv_contains(shells, argv[1])) {
        g_set_error(error, HX_ERROR, HX_ERROR_USAGE,
                    "there is no completion for \"%s\", but for bash, zsh and fish", argv[1]);
        return FALSE;
    }
    g_autofree char *directory = hx_data_path("cli/completion", error);
    if (!directory)
        return FALSE;
    g_autofree char *name = g_strconcat("helixvm.", argv[1], NULL);
    g_autofree char *path = g_build_filename(directory, name, NULL);
    g_autofree char *script = NULL;
    g_autoptr(GError) cause = NULL;
    if (!g_file_get_contents(path, &script, NULL, &cause)) {
        g_set_error(error, HX_ERROR, HX_ERROR_HOST, "cannot read the script: %s", cause->message);
        return FALSE;
    }
    fputs(script, stdout);
    return TRUE;
}
