/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A VM's description as data: GKeyFile profiles, merged and checked against one table of keys. */
#pragma once

#include <glib.h>

typedef struct HxProfile HxProfile;

typedef enum {
    HX_PROFILE_STRING,
    HX_PROFILE_INTEGER,
    HX_PROFILE_BOOLEAN,
    HX_PROFILE_CHOICE,      /* one of the words in @values */
    HX_PROFILE_CHOICE_LIST, /* some of them, in order, separated by ';' */
} HxProfileType;

/* One row of the table: what a profile may say. */
typedef struct {
    const char *section;
    const char *key;
    HxProfileType type;
    const char *standard;      /* the value where no profile says another */
    const char *const *values; /* the words of a choice */
    gint64 min, max;           /* the bounds of an integer */
    const char *description;   /* with its unit; one line */
} HxProfileKey;

/* The table, ended by a row whose section is NULL. */
const HxProfileKey *hx_profile_keys(void);

/* A profile in which every key has its standard value. */
HxProfile *hx_profile_new(void);
void hx_profile_free(HxProfile *profile);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HxProfile, hx_profile_free)

/* Merge the GKeyFile at @path over what @profile has; @profile is unchanged where it fails.
 * HX_ERROR_NOT_FOUND where there is no such file; HX_ERROR_CONFIG names file, line and key, the
 * allowed values, and the nearest known key for an unknown one. */
gboolean hx_profile_merge_file(HxProfile *profile, const char *path, GError **error);

/* Merge one "section.key=value", as `--set` has it.  HX_ERROR_CONFIG as above. */
gboolean hx_profile_merge_setting(HxProfile *profile, const char *setting, GError **error);

/* The value of @name, "section.key", which must be in the table.  Strings are @profile's own. */
const char *hx_profile_string(const HxProfile *profile, const char *name);
gint64 hx_profile_integer(const HxProfile *profile, const char *name);
gboolean hx_profile_boolean(const HxProfile *profile, const char *name);
/* The words of a list, for g_strfreev. */
char **hx_profile_list(const HxProfile *profile, const char *name);

/* The whole profile as a GKeyFile's text, in the order of the table; free with g_free. */
char *hx_profile_to_data(const HxProfile *profile);
