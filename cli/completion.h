/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What may be typed next, for shells: from the table of verbs, what each verb says that it takes,
 * the profile keys, and the VMs, images and profiles there are. */
#pragma once

#include <glib.h>

/* One candidate.  @description may be NULL. */
typedef void HxCandidateFunc(const char *word, const char *description, void *data);

/* The word by which a candidate says that files are wanted: the shell knows them best. */
#define HX_COMPLETE_FILES ":files"

/* Hand @found each word that may stand for the last of @words, ended by NULL, those that follow
 * "helixvm"; it is begun or empty.  A candidate that ends in '=' or ':' goes on.  What cannot be
 * known gives no candidates. */
void hx_complete(char **words, HxCandidateFunc *found, void *data);
