/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/profile-options.h"

#include <string.h>

#include "launcher/profile/find.h"

void hx_profile_options_clear(HxProfileOptions *options)
{
    g_clear_pointer(&options->profile, g_free);
    g_clear_pointer(&options->settings, g_strfreev);
}

char *hx_profile_options_path(const char *wanted, GError **error)
{
    gboolean is_file = strchr(wanted, '/') || g_str_has_suffix(wanted, ".conf");
    return is_file ? g_strdup(wanted) : hx_profile_find(wanted, error);
}

static gboolean merge_found(HxProfile *profile, char *path, GError **error)
{
    gboolean merged = path && hx_profile_merge_file(profile, path, error);
    g_free(path);
    return merged;
}

HxProfile *hx_profile_options_load(const HxProfileOptions *options, HxVm *vm, GError **error)
{
    g_autoptr(HxProfile) profile = hx_profile_new();
    if (!merge_found(profile, hx_profile_find_built_in("default", error), error))
        return NULL;
    const char *last = vm ? hx_vm_state_path(vm, "profile.conf") : NULL;
    if (!options->profile && last && g_file_test(last, G_FILE_TEST_EXISTS)) {
        if (!hx_profile_merge_file(profile, last, error))
            return NULL;
    } else if (!merge_found(profile, hx_profile_options_path(options->profile ?: "default", error),
                            error)) {
        return NULL;
    }
    for (char **setting = options->settings; setting && *setting; setting++)
        if (!hx_profile_merge_setting(profile, *setting, error))
            return NULL;
    return g_steal_pointer(&profile);
}
