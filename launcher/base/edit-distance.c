/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/base/edit-distance.h"

#include <glib.h>
#include <string.h>

size_t hx_edit_distance(const char *a, const char *b)
{
    size_t columns = strlen(b) + 1;
    g_autofree size_t *row = g_new(size_t, columns);
    for (size_t j = 0; j < columns; j++)
        row[j] = j;
    for (size_t i = 0; a[i]; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 1; j < columns; j++) {
            size_t substituted = diagonal + (a[i] != b[j - 1]);
            diagonal = row[j];
            row[j] = MIN(substituted, MIN(row[j], row[j - 1]) + 1);
        }
    }
    return row[columns - 1];
}

const char *hx_nearest_word(const char *word, const char *const *words)
{
    const char *nearest = NULL;
    /* Half of its letters wrong is another word. */
    size_t least = strlen(word) / 2 + 1;
    for (; *words; words++) {
        size_t distance = hx_edit_distance(word, *words);
        if (distance < least) {
            least = distance;
            nearest = *words;
        }
    }
    return nearest;
}
