/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A profile's text → its settings and what is wrong with it, each with its line.  Pure but for
 * hx_profile_text_read. */
#pragma once

#include <glib.h>

typedef struct {
    int key; /* the index in hx_profile_keys() */
    char *value;
    guint line; /* from 1 */
} HxProfileSetting;

/* A mistake. */
typedef struct {
    guint line;
    char *key;     /* "section.key", where it is in one; else NULL */
    char *message; /* without the file and the line */
} HxProfileObjection;

void hx_profile_objection_free(HxProfileObjection *objection);

/* The text of the profile file at @path, for g_free, with its @ret_length; a FIFO has
 * to have its writer.  HX_ERROR_NOT_FOUND where there is none, HX_ERROR_CONFIG for one of more than
 * 1 MiB and for what cannot be read. */
char *hx_profile_text_read(const char *path, gsize *ret_length, GError **error);

/* The settings that @text of @length bytes makes, in its order, for g_ptr_array_unref.  Sections,
 * keys, values and comments as GKeyFile has them (the desktop entry format), but without locales;
 * lines may end with CR LF.  GKeyFile itself tells no line and no more than the first mistake.
 *
 * Each mistake becomes an HxProfileObjection in @objections: unknown sections and keys with the
 * nearest known, values with the allowed ones, a key that comes twice or before any section, and
 * text that is not UTF-8.  What is wrong makes no setting. */
GPtrArray *hx_profile_text_parse(const char *text, gsize length, GPtrArray *objections);

/* What is wrong with "section.key" = @value for a profile, for g_free; NULL where it is right, with
 * @ret_key its index. */
char *hx_profile_setting_objection(const char *section, const char *key, const char *value,
                                   int *ret_key);
