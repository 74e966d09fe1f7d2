/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A program run for a moment to see whether it works: bounded in time, and ended in any case. */
#pragma once

#include <glib.h>

typedef struct HxTrial HxTrial;

/* Start @argv with the environment @envp (NULL: the caller's) and the text @input, at most 4 KiB
 * (NULL: none).  It ends with the calling thread at the latest.  NULL with HX_ERROR_HOST.  Any
 * thread. */
HxTrial *hx_trial_start(const char *const *argv, const char *const *envp, const char *input,
                        GError **error);

/* Wait until its output, stdout and stderr together, matches the regular expression @evidence,
 * line by line; where that is NULL, until it has ended with status 0.  FALSE with HX_ERROR_TIMEOUT
 * after @seconds, or with HX_ERROR_HOST and the telling line of its output where it ended without.
 */
gboolean hx_trial_await(HxTrial *trial, const char *evidence, guint seconds, GError **error);

/* What it has said so far, at most 64 KiB; lives until the next wait. */
const char *hx_trial_output(const HxTrial *trial);

/* Kills it where it still runs, and reaps it; one that hangs in the kernel is left after 3 s. */
void hx_trial_free(HxTrial *trial);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HxTrial, hx_trial_free)

/* The line of a failed program's @output that tells most, for g_free: the first that speaks of an
 * error, else the first; NULL where it said nothing. */
char *hx_trial_telling_line(const char *output);
