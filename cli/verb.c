/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/verb.h"

#include "launcher/base/error.h"

gboolean hx_verb_parse(const char *arguments, const GOptionEntry *options, int *argc, char ***argv,
                       int min, int max, GError **error)
{
    g_autofree char *program = g_strdup_printf("helixvm %s", (*argv)[0]);
    g_set_prgname(program);
    g_autoptr(GOptionContext) context = g_option_context_new(arguments);
    if (options)
        g_option_context_add_main_entries(context, options, NULL);
    g_autoptr(GError) cause = NULL;
    if (!g_option_context_parse(context, argc, argv, &cause)) {
        g_set_error(error, HX_ERROR, HX_ERROR_USAGE, "%s: see `%s --help`", cause->message,
                    program);
        return FALSE;
    }
    /* GOption leaves the "--" that ended the options in its place. */
    if (*argc > 1 && g_str_equal((*argv)[1], "--")) {
        for (int i = 1; i < *argc; i++)
            (*argv)[i] = (*argv)[i + 1];
        (*argc)--;
    }
    int given = *argc - 1;
    if (given < min || given > max) {
        g_set_error(error, HX_ERROR, HX_ERROR_USAGE, "%s: see `%s --help`",
                    given < min ? "an argument is missing" : "too many arguments", program);
        return FALSE;
    }
    return TRUE;
}

const char *hx_verb_vm_name(int argc, char **argv, int index)
{
    return argc > index ? argv[index] : "default";
}
