/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A VM's description as data: profiles, merged and checked against one table of keys. */
#pragma once

#include <glib.h>

#include "launcher/profile/keys.h"

typedef struct HxProfile HxProfile;

/* A profile in which every key has its standard value. */
HxProfile *hx_profile_new(void);
void hx_profile_free(HxProfile *profile);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HxProfile, hx_profile_free)

/* Merge the file at @path over what @profile has; @profile is unchanged where it fails.
 * HX_ERROR_NOT_FOUND where there is no such file; HX_ERROR_CONFIG for the first mistake in it, as
 * hx_profile_text_parse tells it, with the number of the others. */
gboolean hx_profile_merge_file(HxProfile *profile, const char *path, GError **error);

/* All that is wrong with the file at @path, HxProfileObjection of launcher/profile/text.h, for
 * g_ptr_array_unref; an empty array where nothing is.  NULL with HX_ERROR_NOT_FOUND or
 * HX_ERROR_CONFIG where it cannot be read. */
GPtrArray *hx_profile_check_file(const char *path, GError **error);

/* Merge one "section.key=value", as `--set` has it.  HX_ERROR_CONFIG as above. */
gboolean hx_profile_merge_setting(HxProfile *profile, const char *setting, GError **error);

/* The value of @name, "section.key", which must be in the table.  Strings are @profile's own. */
const char *hx_profile_string(const HxProfile *profile, const char *name);
gint64 hx_profile_integer(const HxProfile *profile, const char *name);
gboolean hx_profile_boolean(const HxProfile *profile, const char *name);
/* The words of a list, for g_strfreev. */
char **hx_profile_list(const HxProfile *profile, const char *name);

/* Where the value of @name comes from, "FILE:LINE" or "--set"; NULL where it is the standard one.
 * @profile's own. */
const char *hx_profile_origin(const HxProfile *profile, const char *name);

/* The items of a key of that kind, as hx_extra_disks_parse, hx_forwards_parse and hx_shares_parse
 * return them; none where there are none.  For g_ptr_array_unref. */
GPtrArray *hx_profile_extra_disks(const HxProfile *profile);
GPtrArray *hx_profile_forwards(const HxProfile *profile);
GPtrArray *hx_profile_shares(const HxProfile *profile);

/* The whole profile as a GKeyFile's text, in the order of the table; free with g_free. */
char *hx_profile_to_data(const HxProfile *profile);
