/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/profile/profile.h"

#include <string.h>

#include "launcher/base/error.h"
#include "launcher/profile/extra-disk.h"
#include "launcher/profile/forward.h"
#include "launcher/profile/list.h"
#include "launcher/profile/share.h"
#include "launcher/profile/text.h"

struct HxProfile {
    char **values;  /* one for each key */
    char **origins; /* NULL: the standard */
};

HxProfile *hx_profile_new(void)
{
    HxProfile *profile = g_new0(HxProfile, 1);
    const HxProfileKey *keys = hx_profile_keys();
    profile->values = g_new0(char *, hx_profile_key_count());
    profile->origins = g_new0(char *, hx_profile_key_count());
    for (guint i = 0; i < hx_profile_key_count(); i++)
        profile->values[i] = g_strdup(keys[i].standard);
    return profile;
}

void hx_profile_free(HxProfile *profile)
{
    if (!profile)
        return;
    for (guint i = 0; i < hx_profile_key_count(); i++) {
        g_free(profile->values[i]);
        g_free(profile->origins[i]);
    }
    g_free(profile->values);
    g_free(profile->origins);
    g_free(profile);
}

/* --- merging --------------------------------------------------------------------------------- */

/* Takes @origin. */
static void set(HxProfile *profile, int key, const char *value, char *origin)
{
    g_free(profile->values[key]);
    g_free(profile->origins[key]);
    profile->values[key] = g_strdup(value);
    profile->origins[key] = origin;
}

static GPtrArray *parse_file(const char *path, GPtrArray **ret_objections, GError **error)
{
    gsize length = 0;
    g_autofree char *text = hx_profile_text_read(path, &length, error);
    if (!text)
        return NULL;
    *ret_objections = g_ptr_array_new_with_free_func((GDestroyNotify)hx_profile_objection_free);
    return hx_profile_text_parse(text, length, *ret_objections);
}

GPtrArray *hx_profile_check_file(const char *path, GError **error)
{
    GPtrArray *objections = NULL;
    g_autoptr(GPtrArray) settings = parse_file(path, &objections, error);
    return settings ? objections : NULL;
}

gboolean hx_profile_merge_file(HxProfile *profile, const char *path, GError **error)
{
    g_autoptr(GPtrArray) objections = NULL;
    g_autoptr(GPtrArray) settings = parse_file(path, &objections, error);
    if (!settings)
        return FALSE;
    if (objections->len > 0) {
        const HxProfileObjection *first = objections->pdata[0];
        g_set_error(error, HX_ERROR, HX_ERROR_CONFIG, "%s:%u: %s", path, first->line,
                    first->message);
        if (error && objections->len > 1) {
            char *message = (*error)->message;
            (*error)->message = g_strdup_printf("%s; `helixvm profile check %s` tells %u more",
                                                message, path, objections->len - 1);
            g_free(message);
        }
        return FALSE;
    }
    for (guint i = 0; i < settings->len; i++) {
        const HxProfileSetting *setting = settings->pdata[i];
        set(profile, setting->key, setting->value, g_strdup_printf("%s:%u", path, setting->line));
    }
    return TRUE;
}

gboolean hx_profile_merge_setting(HxProfile *profile, const char *setting, GError **error)
{
    const char *equals = strchr(setting, '=');
    const char *dot = strchr(setting, '.');
    if (!equals || !dot || dot > equals) {
        g_set_error(error, HX_ERROR, HX_ERROR_CONFIG,
                    "--set: \"%s\" is not of the form section.key=value", setting);
        return FALSE;
    }
    g_autofree char *section = g_strndup(setting, dot - setting);
    g_autofree char *key = g_strndup(dot + 1, equals - dot - 1);
    int index = -1;
    g_autofree char *objection = hx_profile_setting_objection(section, key, equals + 1, &index);
    if (objection) {
        g_set_error(error, HX_ERROR, HX_ERROR_CONFIG, "--set: %s", objection);
        return FALSE;
    }
    set(profile, index, equals + 1, g_strdup("--set"));
    return TRUE;
}

/* --- reading --------------------------------------------------------------------------------- */

static int index_of(const char *name)
{
    const HxProfileKey *keys = hx_profile_keys();
    for (int i = 0; keys[i].section; i++) {
        size_t length = strlen(keys[i].section);
        if (strncmp(name, keys[i].section, length) == 0 && name[length] == '.' &&
            g_str_equal(name + length + 1, keys[i].key))
            return i;
    }
    g_error("\"%s\" is not in the table of profile keys", name);
}

const char *hx_profile_string(const HxProfile *profile, const char *name)
{
    return profile->values[index_of(name)];
}

const char *hx_profile_origin(const HxProfile *profile, const char *name)
{
    return profile->origins[index_of(name)];
}

gint64 hx_profile_integer(const HxProfile *profile, const char *name)
{
    return g_ascii_strtoll(hx_profile_string(profile, name), NULL, 10);
}

gboolean hx_profile_boolean(const HxProfile *profile, const char *name)
{
    return g_str_equal(hx_profile_string(profile, name), "true");
}

char **hx_profile_list(const HxProfile *profile, const char *name)
{
    return hx_list_split(hx_profile_string(profile, name));
}

/* No value gets into a profile that its parser would object to. */
static GPtrArray *items_of(const HxProfile *profile, const char *name,
                           GPtrArray *(*parse)(const char *, char **))
{
    g_autofree char *objection = NULL;
    GPtrArray *items = parse(hx_profile_string(profile, name), &objection);
    g_assert(items);
    return items;
}

GPtrArray *hx_profile_extra_disks(const HxProfile *profile)
{
    return items_of(profile, "disk.extra", hx_extra_disks_parse);
}

GPtrArray *hx_profile_forwards(const HxProfile *profile)
{
    return items_of(profile, "network.forward", hx_forwards_parse);
}

GPtrArray *hx_profile_shares(const HxProfile *profile)
{
    return items_of(profile, "share.folders", hx_shares_parse);
}

char *hx_profile_to_data(const HxProfile *profile)
{
    g_autoptr(GString) data = g_string_new(NULL);
    const HxProfileKey *keys = hx_profile_keys();
    const char *section = NULL;
    for (size_t i = 0; keys[i].section; i++) {
        if (!section || !g_str_equal(section, keys[i].section))
            g_string_append_printf(data, "%s[%s]\n", section ? "\n" : "", keys[i].section);
        section = keys[i].section;
        g_string_append_printf(data, "%s=%s\n", keys[i].key, profile->values[i]);
    }
    return g_string_free(g_steal_pointer(&data), FALSE);
}
