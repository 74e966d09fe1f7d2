/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a verb of the command line is, and what all verbs share. */
#pragma once

#include <gio/gio.h>

#include "launcher/vm/vm.h"

/* A verb's program: argv[0] is the verb.  Returns FALSE with @error, whose code is the exit status
 * (launcher/base/error.h).  It alone prints: results to stdout, progress and notes to stderr. */
typedef gboolean HxVerbFunc(int argc, char **argv, GError **error);

/* One row of the table of verbs, or of a verb's actions ("image build").  `help`, --help and
 * completion know what is here and in the verb's call of hx_verb_parse: nothing else names it. */
typedef struct HxVerb {
    const char *name;             /* NULL in the row that ends a table */
    const char *summary;          /* one line; NULL: not for people */
    HxVerbFunc *run;              /* NULL where it has actions */
    const struct HxVerb *actions; /* a table of its own: the word that follows picks one */
    const char *heading;          /* for `help`: begins a group; NULL: the group above */
} HxVerb;

/* cli/verb-table.c: all verbs. */
extern const HxVerb hx_verbs[];

/* One file each: cli/verb-NAME.c. */
HxVerbFunc hx_verb_complete;
HxVerbFunc hx_verb_completion;
HxVerbFunc hx_verb_cp;
HxVerbFunc hx_verb_define;
HxVerbFunc hx_verb_delete;
HxVerbFunc hx_verb_doctor;
HxVerbFunc hx_verb_down;
HxVerbFunc hx_verb_exec;
HxVerbFunc hx_verb_help;
HxVerbFunc hx_verb_image_fetch;
HxVerbFunc hx_verb_list;
HxVerbFunc hx_verb_logs;
HxVerbFunc hx_verb_monitor;
HxVerbFunc hx_verb_provision;
HxVerbFunc hx_verb_proxy;
HxVerbFunc hx_verb_restart;
HxVerbFunc hx_verb_run;
HxVerbFunc hx_verb_session_logs;
HxVerbFunc hx_verb_ssh;
HxVerbFunc hx_verb_ssh_config;
HxVerbFunc hx_verb_status;
HxVerbFunc hx_verb_stream;
HxVerbFunc hx_verb_try_venus;
HxVerbFunc hx_verb_up;
HxVerbFunc hx_verb_version;
HxVerbFunc hx_verb_view;
extern const HxVerb hx_verb_image_actions[];
extern const HxVerb hx_verb_profile_actions[];
extern const HxVerb hx_verb_session_actions[];
extern const HxVerb hx_verb_snapshot_actions[];

/* Run the verb that @argv begins with, or its action.  HX_ERROR_USAGE, naming the nearest one,
 * where there is no such verb or action. */
gboolean hx_verb_dispatch(int argc, char **argv, GError **error);

/* What a verb takes, as its call of hx_verb_parse says it. */
typedef struct {
    char *arguments;
    GArray *options; /* of HxVerbOption */
} HxVerbUsage;

typedef struct {
    char *name;        /* without its dashes */
    char letter;       /* 0 where it has none */
    char *description; /* NULL where there is none */
    char *value;       /* what it takes, "FILE" or "a|b"; NULL where it takes nothing */
} HxVerbOption;

/* Ask @verb, which runs nothing: its hx_verb_parse fails.  Free with hx_verb_usage_free. */
HxVerbUsage *hx_verb_usage(const HxVerb *verb);
void hx_verb_usage_free(HxVerbUsage *usage);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HxVerbUsage, hx_verb_usage_free)

/* The row of @name in @table; NULL where there is none. */
const HxVerb *hx_verb_find(const HxVerb *table, const char *name);

/* Parse a verb's options: `helixvm VERB [OPTION…] @arguments`.  What is left in @argc and @argv are
 * the verb's name and its arguments, @min to @max of them.  --help prints and exits.  Returns FALSE
 * with HX_ERROR_USAGE.
 *
 * A verb calls this before it does anything else.  @arguments and the entries' arg_description tell
 * users and completion what is wanted: "VM", "IMAGE", "PROFILE", "FILE" and the like in capitals,
 * words to be typed as they are in small letters, "|" between alternatives. */
gboolean hx_verb_parse(const char *arguments, const GOptionEntry *options, int *argc, char ***argv,
                       int min, int max, GError **error);

/* hx_verb_parse for a verb that takes a VM alone, "[VM]": that VM, for hx_vm_free; NULL with @error
 * also where it can have no such name. */
HxVm *hx_verb_parse_vm(const GOptionEntry *options, int *argc, char ***argv, GError **error);

/* The VM's name: the argument at @index, "default" where there is none.  Not to be freed. */
const char *hx_verb_vm_name(int argc, char **argv, int index);

/* The VM's name where the last argument is that of something of a VM, "[VM] SNAPSHOT": the one
 * before it, or "default".  Not to be freed. */
const char *hx_verb_vm_before(int argc, char **argv);

/* "create work" is the @what ("snapshot") "work" of the VM "default", and where there is a VM
 * "work" nobody means that: FALSE with HX_ERROR_USAGE then. */
gboolean hx_verb_check_no_vm(const char *what, int argc, char **argv, GError **error);

/* Cancelled by SIGINT, SIGTERM and SIGHUP; a second one ends the process at once.  Not to be freed.
 */
GCancellable *hx_verb_cancellable(void);

/* The signal that cancelled it; 0: none yet. */
int hx_verb_signal(void);

/* Cancelled by the second of these signals, for a verb that has something to do about it: from the
 * first call on it is the third that ends the process.  Not to be freed. */
GCancellable *hx_verb_impatience(void);

/* Write out what standard output still holds.  Returns 0, or the exit status where it cannot be
 * written, which it says unless the reader has enough. */
int hx_verb_end_output(void);

/* The exit status of a verb that succeeds with another than 0 (exec: the command's). */
void hx_verb_set_exit_status(int status);

/* The exit status of a verb that fails with any error but HX_ERROR_CANCELLED, in place of the
 * error's own. */
void hx_verb_set_failure_status(int status);
