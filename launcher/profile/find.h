/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where profiles are: the user's own, the host's, and those that come with helixvm. */
#pragma once

#include <glib.h>

typedef struct {
    char *name;
    char *path;
    const char *kind; /* "user", "host" or "built-in" */
    char *summary;    /* its first line, where that is a comment; else empty */
} HxProfileFile;

/* The path of profile @name, for g_free: NAME.conf in helixvm/profiles of the user's configuration
 * directory (XDG_CONFIG_HOME), in /etc/helixvm/profiles, or among those that come with helixvm, the
 * first that there is.  HX_ERROR_NOT_FOUND where there is none; HX_ERROR_USAGE where @name is no
 * name: letters, digits, '-', '_' and '.', the first a letter or digit. */
char *hx_profile_find(const char *name, GError **error);

/* The path of the built-in profile @name, whatever others there are; as above. */
char *hx_profile_find_built_in(const char *name, GError **error);

/* All profiles by name, each as hx_profile_find would find it; HxProfileFile, for
 * g_ptr_array_unref. */
GPtrArray *hx_profile_list_files(GError **error);
