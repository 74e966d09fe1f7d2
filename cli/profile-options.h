/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The options by which a verb takes a profile, and the profile they make. */
#pragma once

#include "launcher/profile/profile.h"
#include "launcher/vm/vm.h"

typedef struct {
    char *profile;   /* --profile PROFILE|FILE */
    char **settings; /* --set section.key=value, any number */
} HxProfileOptions;

/* The entries of @options for a GOptionContext, ended by an empty one. */
#define HX_PROFILE_OPTION_ENTRIES(options)                                                         \
    {"profile",                                                                                    \
     'p',                                                                                          \
     0,                                                                                            \
     G_OPTION_ARG_STRING,                                                                          \
     &(options).profile,                                                                           \
     "a profile's name, or a file (default: as last time, at first \"default\")",                  \
     "PROFILE|FILE"},                                                                              \
        {"set",                                                                                    \
         's',                                                                                      \
         0,                                                                                        \
         G_OPTION_ARG_STRING_ARRAY,                                                                \
         &(options).settings,                                                                      \
         "set one key of the profile; may be repeated",                                            \
         "SECTION.KEY=VALUE"}

void hx_profile_options_clear(HxProfileOptions *options);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(HxProfileOptions, hx_profile_options_clear)

/* The file that --profile means by @wanted, for g_free: one with a '/' or ".conf" itself, else the
 * profile of that name.  NULL with HX_ERROR_USAGE or HX_ERROR_NOT_FOUND. */
char *hx_profile_options_path(const char *wanted, GError **error);

/* The profile for @vm (NULL: for none yet): the built-in default, then that of --profile or,
 * without it, what @vm last ran with, at first the user's or the host's own "default" where there
 * is one, then each --set.  NULL with HX_ERROR_CONFIG, HX_ERROR_USAGE or HX_ERROR_NOT_FOUND. */
HxProfile *hx_profile_options_load(const HxProfileOptions *options, HxVm *vm, GError **error);
