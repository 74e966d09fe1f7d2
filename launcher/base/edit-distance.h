/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How near two words are: for the one that was meant where one is mistyped. */
#pragma once

#include <stddef.h>

/* How many letters have to be added, removed or replaced to make @b of @a (Levenshtein distance).
 * Both are short. */
size_t hx_edit_distance(const char *a, const char *b);

/* The one of @words (NULL-terminated) that @word was meant to be; NULL where none is near. */
const char *hx_nearest_word(const char *word, const char *const *words);
