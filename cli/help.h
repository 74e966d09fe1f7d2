/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What `helixvm help` prints, from the table of verbs. */
#pragma once

#include <stdio.h>

#include "cli/verb.h"

/* All verbs by their groups. */
void hx_help_print(FILE *to);

/* @help, as GOption has it, to @to: as wide as a terminal is. */
void hx_help_print_options(const char *help, FILE *to);

/* The actions of @verb, which has some. */
void hx_help_print_actions(const HxVerb *verb, FILE *to);
