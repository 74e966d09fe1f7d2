/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/verb.h"

#include <stdlib.h>
#include <string.h>

#include "cli/help.h"
#include "launcher/base/edit-distance.h"
#include "launcher/base/error.h"
#include "launcher/monitor/reach.h"

/* The row that runs, for its --help. */
static const HxVerb *current;

const HxVerb *hx_verb_find(const HxVerb *table, const char *name)
{
    for (const HxVerb *verb = table; verb->name; verb++)
        if (g_str_equal(verb->name, name))
            return verb;
    return NULL;
}

static gboolean is_help(const char *word)
{
    return g_str_equal(word, "--help") || g_str_equal(word, "-h");
}

static gboolean wants_help(int argc, char **argv)
{
    for (int i = 1; i < argc && !g_str_equal(argv[i], "--"); i++)
        if (is_help(argv[i]))
            return TRUE;
    return FALSE;
}

/* The names in @table that are for people, and NULL; for g_free, they themselves are the table's.
 */
static const char **names_of(const HxVerb *table)
{
    GPtrArray *names = g_ptr_array_new();
    for (const HxVerb *verb = table; verb->name; verb++)
        if (verb->summary)
            g_ptr_array_add(names, (char *)verb->name);
    g_ptr_array_add(names, NULL);
    return (const char **)g_ptr_array_free(names, FALSE);
}

/* @argv: the verb, the word that picks its action, the rest. */
static gboolean run_action(const HxVerb *verb, int argc, char **argv, GError **error)
{
    if (argc > 1 && is_help(argv[1])) {
        hx_help_print_actions(verb, stdout);
        return TRUE;
    }
    const HxVerb *action = argc > 1 ? hx_verb_find(verb->actions, argv[1]) : NULL;
    if (!action) {
        g_autofree const char **names = names_of(verb->actions);
        g_autofree char *all = g_strjoinv(", ", (char **)names);
        const char *meant = argc > 1 ? hx_nearest_word(argv[1], names) : NULL;
        if (meant)
            g_set_error(error, HX_ERROR, HX_ERROR_USAGE,
                        "%s has no action \"%s\": the nearest is \"%s\"", verb->name, argv[1],
                        meant);
        else
            g_set_error(error, HX_ERROR, HX_ERROR_USAGE, "%s: say what to do: %s", verb->name, all);
        return FALSE;
    }
    g_autofree char *called = g_strdup_printf("%s %s", verb->name, action->name);
    g_autofree char **words = g_memdup2(argv + 1, argc * sizeof *argv); /* with the NULL behind */
    words[0] = called;
    current = action;
    return action->run(argc - 1, words, error);
}

static gboolean unknown_verb(const char *name, GError **error)
{
    g_autofree const char **names = names_of(hx_verbs);
    const char *meant = hx_nearest_word(name, names);
    if (meant)
        g_set_error(error, HX_ERROR, HX_ERROR_USAGE,
                    "there is no verb \"%s\": the nearest is \"%s\"; `helixvm help` lists all",
                    name, meant);
    else
        g_set_error(error, HX_ERROR, HX_ERROR_USAGE, "there is no verb \"%s\": see `helixvm help`",
                    name);
    return FALSE;
}

/* For libvirt here, and in the monitor that is started. */
static gboolean set_connection(const char *option, const char *uri, void *data, GError **error)
{
    g_setenv("LIBVIRT_DEFAULT_URI", uri, TRUE);
    return TRUE;
}

/* Every verb's. */
static const GOptionEntry connect_option[] = {
    {"connect", 0, G_OPTION_FLAG_HIDDEN, G_OPTION_ARG_CALLBACK, set_connection, NULL, "URI"},
    G_OPTION_ENTRY_NULL,
};

/* "--connect URI" and "--connect=URI" before the verb.  Returns how many words it takes. */
static int take_connection(int argc, char **argv)
{
    if (g_str_has_prefix(argv[0], "--connect=")) {
        set_connection(NULL, strchr(argv[0], '=') + 1, NULL, NULL);
        return 1;
    }
    if (argc < 2 || !g_str_equal(argv[0], "--connect"))
        return 0;
    set_connection(NULL, argv[1], NULL, NULL);
    return 2;
}

gboolean hx_verb_dispatch(int argc, char **argv, GError **error)
{
    int taken = take_connection(argc, argv);
    argc -= taken;
    argv += taken;
    if (argc < 1 || g_str_equal(argv[0], "--connect")) {
        g_set_error_literal(error, HX_ERROR, HX_ERROR_USAGE,
                            "an argument is missing: helixvm --connect URI VERB");
        return FALSE;
    }
    const char *name = argv[0];
    if (is_help(name))
        name = "help";
    else if (g_str_equal(name, "--version"))
        name = "version";
    const HxVerb *verb = hx_verb_find(hx_verbs, name);
    if (!verb)
        return unknown_verb(name, error);
    if (verb->actions)
        return run_action(verb, argc, argv, error);
    current = verb;
    return verb->run(argc, argv, error);
}

/* --- what a verb takes -------------------------------------------------------------------------
 */

/* Where it is asked for, and not to be run. */
static HxVerbUsage *asked;

static void clear_option(void *data)
{
    HxVerbOption *option = data;
    g_free(option->name);
    g_free(option->description);
    g_free(option->value);
}

void hx_verb_usage_free(HxVerbUsage *usage)
{
    if (!usage)
        return;
    g_free(usage->arguments);
    g_array_unref(usage->options);
    g_free(usage);
}

HxVerbUsage *hx_verb_usage(const HxVerb *verb)
{
    g_autofree char *name = g_strdup(verb->name);
    char *words[] = {name, NULL};
    HxVerbUsage *usage = g_new0(HxVerbUsage, 1);
    usage->options = g_array_new(FALSE, TRUE, sizeof(HxVerbOption));
    g_array_set_clear_func(usage->options, clear_option);
    asked = usage;
    g_autoptr(GError) error = NULL;
    verb->run(1, words, &error);
    asked = NULL;
    return usage;
}

static gboolean tell_usage(const char *arguments, const GOptionEntry *options, GError **error)
{
    g_free(asked->arguments);
    asked->arguments = g_strdup(arguments);
    for (const GOptionEntry *entry = options; entry && entry->long_name; entry++) {
        if (entry->flags & G_OPTION_FLAG_HIDDEN)
            continue;
        gboolean takes_value = entry->arg != G_OPTION_ARG_NONE;
        HxVerbOption option = {
            .name = g_strdup(entry->long_name),
            .letter = entry->short_name,
            .description = g_strdup(entry->description),
            .value = takes_value ? g_strdup(entry->arg_description ?: "") : NULL,
        };
        g_array_append_val(asked->options, option);
    }
    g_set_error_literal(error, HX_ERROR, HX_ERROR_CANCELLED, "the verb was asked what it takes");
    return FALSE;
}

/* "Say what it does." from "say what it does". */
static char *sentence(const char *summary)
{
    return g_strdup_printf("%c%s.", g_ascii_toupper(summary[0]), summary + 1);
}

gboolean hx_verb_parse(const char *arguments, const GOptionEntry *options, int *argc, char ***argv,
                       int min, int max, GError **error)
{
    if (asked)
        return tell_usage(arguments, options, error);
    g_autofree char *program = g_strdup_printf("helixvm %s", (*argv)[0]);
    g_set_prgname(program);
    g_autoptr(GOptionContext) context = g_option_context_new(arguments);
    g_autofree char *summary = current && current->summary ? sentence(current->summary) : NULL;
    g_option_context_set_summary(context, summary);
    if (options)
        g_option_context_add_main_entries(context, options, NULL);
    g_option_context_add_main_entries(context, connect_option, NULL);
    if (wants_help(*argc, *argv)) {
        g_autofree char *help = g_option_context_get_help(context, TRUE, NULL);
        hx_help_print_options(help, stdout);
        exit(hx_verb_end_output());
    }
    g_autoptr(GError) cause = NULL;
    if (!g_option_context_parse(context, argc, argv, &cause)) {
        /* GLib's messages begin with a capital, which is no word of the user's. */
        g_set_error(error, HX_ERROR, HX_ERROR_USAGE, "%c%s: see `%s --help`",
                    g_ascii_tolower(cause->message[0]), cause->message + 1, program);
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
        g_set_error(error, HX_ERROR, HX_ERROR_USAGE, "%s: %s [OPTION...]%s%s",
                    given < min ? "an argument is missing" : "too many arguments", program,
                    *arguments ? " " : "", arguments);
        return FALSE;
    }
    return TRUE;
}

const char *hx_verb_vm_name(int argc, char **argv, int index)
{
    return argc > index ? argv[index] : "default";
}

const char *hx_verb_vm_before(int argc, char **argv)
{
    return argc > 2 ? argv[1] : "default";
}

gboolean hx_verb_check_no_vm(const char *what, int argc, char **argv, GError **error)
{
    g_autoptr(HxVm) vm = argc == 2 ? hx_vm_open(argv[1], NULL) : NULL;
    if (!vm || !hx_vm_check_known(vm, NULL))
        return TRUE;
    g_set_error(error, HX_ERROR, HX_ERROR_USAGE,
                "\"%s\" is a VM: name its %s, too: helixvm %s %s NAME", argv[1], what, argv[0],
                argv[1]);
    return FALSE;
}

HxVm *hx_verb_parse_vm(const GOptionEntry *options, int *argc, char ***argv, GError **error)
{
    return hx_verb_parse("[VM]", options, argc, argv, 0, 1, error)
               ? hx_vm_open(hx_verb_vm_name(*argc, *argv, 1), error)
               : NULL;
}
