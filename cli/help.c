/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/help.h"

#include <string.h>

#include "cli/screen.h"

static void print_rows(const HxVerb *table, FILE *to)
{
    for (const HxVerb *verb = table; verb->name; verb++) {
        if (!verb->summary)
            continue;
        if (verb->heading)
            fprintf(to, "\n%s:\n", verb->heading);
        fprintf(to, "  %-12s ", verb->name);
        hx_screen_print(to, verb->summary, 15);
    }
}

void hx_help_print(FILE *to)
{
    fputs("Usage:\n  helixvm VERB [OPTION…] [ARGUMENT…]\n\n", to);
    hx_screen_print(to, "Launches GPU-accelerated Linux VMs and gets video out of them.", 0);
    print_rows(hx_verbs, to);
    fputc('\n', to);
    hx_screen_print(to,
                    "A VM is \"default\" where it is not named.  --connect URI, with every verb, "
                    "picks the libvirt.",
                    0);
    hx_screen_print(to, "`helixvm VERB --help` tells more, helixvm(1) all.", 0);
}

/* Where what an option does begins, behind two blanks or more; 0 where @line is none of an option.
 */
static size_t description_of(const char *line)
{
    if (!g_str_has_prefix(line, "  -"))
        return 0;
    const char *gap = strstr(line + strlen("  -"), "  ");
    return gap ? gap + strspn(gap, " ") - line : 0;
}

void hx_help_print_options(const char *help, FILE *to)
{
    g_auto(GStrv) lines = g_strsplit(help, "\n", -1);
    for (char **line = lines; line[0] && line[1]; line++) {
        size_t column = description_of(*line);
        fprintf(to, "%.*s", (int)column, *line);
        hx_screen_print(to, *line + column, column);
    }
}

void hx_help_print_actions(const HxVerb *verb, FILE *to)
{
    fprintf(to, "Usage:\n  helixvm %s ACTION [OPTION…] [ARGUMENT…]\n\nActions:\n", verb->name);
    print_rows(verb->actions, to);
    fprintf(to, "\n`helixvm %s ACTION --help` tells more, helixvm(1) all.\n", verb->name);
}
