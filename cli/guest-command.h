/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Verbs that run a command in the guest: `VERB [OPTION...] [NAME] [-- COMMAND...]`. */
#pragma once

#include "cli/guest.h"

typedef struct {
    char **head; /* the verb, and what hx_verb_parse left of its arguments; for g_free alone */
    int n_head;
    char **words; /* the command: borrowed from argv */
    int n_words;
} HxGuestCommand;

/* Take the command out of @argv: the rest, in head, is for hx_verb_parse. */
void hx_guest_command_split(HxGuestCommand *command, int argc, char **argv);

/* Parse what comes before "--", with @options (NULL: none); what follows is the command's, options
 * too, and the parser never sees it.  From here on the verb's own failures exit with 255.
 * HX_ERROR_USAGE. */
gboolean hx_guest_command_parse(HxGuestCommand *command, const char *arguments,
                                const GOptionEntry *options, int argc, char **argv, GError **error);
void hx_guest_command_clear(HxGuestCommand *command);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(HxGuestCommand, hx_guest_command_clear)

/* Log in to the guest of @vm and run @join, whose status becomes the verb's.  Without a terminal,
 * the signal that ends a verb goes to the command instead, which then has 10 s to end. */
gboolean hx_guest_command_run(HxVm *vm, HxSshJoin *join, GError **error);
