/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/help.h"

static void print_rows(const HxVerb *table, FILE *to)
{
    for (const HxVerb *verb = table; verb->name; verb++) {
        if (!verb->summary)
            continue;
        if (verb->heading)
            fprintf(to, "\n%s:\n", verb->heading);
        fprintf(to, "  %-12s %s\n", verb->name, verb->summary);
    }
}

void hx_help_print(FILE *to)
{
    fputs("Usage:\n  helixvm VERB [OPTION…] [ARGUMENT…]\n\n"
          "Launches GPU-accelerated Linux VMs and gets video out of them.\n",
          to);
    print_rows(hx_verbs, to);
    fputs("\nA VM is \"default\" where it is not named.  --connect URI, with every verb, picks the "
          "libvirt.\n`helixvm VERB --help` tells more, helixvm(1) all.\n",
          to);
}

void hx_help_print_actions(const HxVerb *verb, FILE *to)
{
    fprintf(to, "Usage:\n  helixvm %s ACTION [OPTION…] [ARGUMENT…]\n\nActions:\n", verb->name);
    print_rows(verb->actions, to);
    fprintf(to, "\n`helixvm %s ACTION --help` tells more, helixvm(1) all.\n", verb->name);
}
