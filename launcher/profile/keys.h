/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a profile may say: one table of sections and keys.  Checking, `helixvm profile`, the manual
 * page's list and completion come from it. */
#pragma once

#include <glib.h>

typedef enum {
    HX_PROFILE_STRING,
    HX_PROFILE_INTEGER,
    HX_PROFILE_BOOLEAN,
    HX_PROFILE_CHOICE,      /* one of the words in @values */
    HX_PROFILE_CHOICE_LIST, /* some of them, in order, separated by ';' */
    HX_PROFILE_DISKS,       /* launcher/profile/extra-disk.h */
    HX_PROFILE_FORWARDS,    /* launcher/profile/forward.h */
    HX_PROFILE_SHARES,      /* launcher/profile/share.h */
} HxProfileType;

/* One row of the table. */
typedef struct {
    const char *section;
    const char *key;
    HxProfileType type;
    const char *standard;      /* the value where no profile says another */
    const char *const *values; /* the words of a choice */
    gint64 min, max;           /* the bounds of an integer */
    const char *description;   /* for people and the manual page: sentences, with the unit */
} HxProfileKey;

/* The table, ended by a row whose section is NULL; the keys of a section follow each other. */
const HxProfileKey *hx_profile_keys(void);

/* The rows of the table that are keys. */
guint hx_profile_key_count(void);

/* The row of @section and @key, by its index; -1 where there is none. */
int hx_profile_key_find(const char *section, const char *key);

/* The name "section.key" of the key that is nearest to these, for g_free; NULL where none is
 * near. */
char *hx_profile_key_nearest(const char *section, const char *key);

/* What a value of @key must be, as in "must be …", for g_free; NULL where @value is right. */
char *hx_profile_key_objection(const HxProfileKey *key, const char *value);

/* What values of @key are possible: "1 to 64", "true, false", "auto, xvfb", for g_free; NULL for
 * any text. */
char *hx_profile_key_allowed(const HxProfileKey *key);
