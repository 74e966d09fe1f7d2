/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which distribution a guest is: os-release(5), and the ones whose packages have known names. */
#pragma once

#include <glib.h>

typedef struct {
    char *id;      /* "debian"; "linux" where it does not say */
    char *version; /* "13"; empty where it has none */
    char *name;    /* for people: "Debian GNU/Linux 13 (trixie)" */
} HxDistribution;

/* Read the NULL-terminated @lines of an os-release(5), of a guest that is not trusted: what is no
 * assignment is skipped. */
void hx_distribution_read(HxDistribution *distribution, const char *const *lines);
void hx_distribution_clear(HxDistribution *distribution);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(HxDistribution, hx_distribution_clear)

/* Whether @table, NULL-terminated lines "ID VERSION_ID WHAT=VERSION ...", has one of it. */
gboolean hx_distribution_is_in(const HxDistribution *distribution, const char *const *table);
/* The version that @table has of @what in it, for g_free; NULL: none. */
char *hx_distribution_version_of(const HxDistribution *distribution, const char *const *table,
                                 const char *what);

/* Below 0, 0 or above where the version @a is older than, as new as or newer than @b, by the first
 * two numbers of each, "1.26.2-2" as 1.26; what is missing is 0. */
int hx_version_compare(const char *a, const char *b);
