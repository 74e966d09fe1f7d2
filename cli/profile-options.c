/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/profile-options.h"

#include <string.h>

#include "launcher/base/error.h"
#include "launcher/base/parts.h"

void hx_profile_options_clear(HxProfileOptions *options)
{
    g_clear_pointer(&options->profile, g_free);
    g_clear_pointer(&options->settings, g_strfreev);
}

static gboolean merge_built_in(HxProfile *profile, const char *name, GError **error)
{
    g_autofree char *directory = hx_data_path("qemu-profiles", error);
    if (!directory)
        return FALSE;
    g_autofree char *file = g_strconcat(name, ".conf", NULL);
    g_autofree char *path = g_build_filename(directory, file, NULL);
    return hx_profile_merge_file(profile, path, error);
}

HxProfile *hx_profile_options_load(const HxProfileOptions *options, HxVm *vm, GError **error)
{
    g_autoptr(HxProfile) profile = hx_profile_new();
    if (!merge_built_in(profile, "default", error))
        return NULL;
    const char *last = hx_vm_state_path(vm, "profile.conf");
    if (options->profile) {
        gboolean is_file =
            strchr(options->profile, '/') || g_str_has_suffix(options->profile, ".conf");
        if (is_file ? !hx_profile_merge_file(profile, options->profile, error)
                    : !merge_built_in(profile, options->profile, error))
            return NULL;
    } else if (g_file_test(last, G_FILE_TEST_EXISTS) &&
               !hx_profile_merge_file(profile, last, error)) {
        return NULL;
    }
    for (char **setting = options->settings; setting && *setting; setting++)
        if (!hx_profile_merge_setting(profile, *setting, error))
            return NULL;
    return g_steal_pointer(&profile);
}
