/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a verb of the command line is, and what all verbs share. */
#pragma once

#include <gio/gio.h>

/* A verb's program: argv[0] is the verb.  Returns FALSE with @error, whose code is the exit status
 * (launcher/base/error.h).  It alone prints: results to stdout, progress and notes to stderr. */
typedef gboolean HxVerbFunc(int argc, char **argv, GError **error);

/* One row a verb in cli/main.c, one file each: cli/verb-NAME.c. */
HxVerbFunc hx_verb_define;
HxVerbFunc hx_verb_delete;
HxVerbFunc hx_verb_down;
HxVerbFunc hx_verb_exec;
HxVerbFunc hx_verb_image;
HxVerbFunc hx_verb_list;
HxVerbFunc hx_verb_monitor;
HxVerbFunc hx_verb_provision;
HxVerbFunc hx_verb_status;
HxVerbFunc hx_verb_stream;
HxVerbFunc hx_verb_up;

/* Parse a verb's options: `helixvm VERB [OPTION…] @arguments`.  What is left in @argc and @argv are
 * the verb's name and its arguments, @min to @max of them.  --help prints and exits.  Returns FALSE
 * with HX_ERROR_USAGE. */
gboolean hx_verb_parse(const char *arguments, const GOptionEntry *options, int *argc, char ***argv,
                       int min, int max, GError **error);

/* The VM's name: the argument at @index, "default" where there is none.  Not to be freed. */
const char *hx_verb_vm_name(int argc, char **argv, int index);

/* Cancelled by SIGINT and SIGTERM; a second one ends the process at once.  Not to be freed. */
GCancellable *hx_verb_cancellable(void);

/* The exit status of a verb that succeeds with another than 0 (exec: the command's). */
void hx_verb_set_exit_status(int status);
