/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/profile.h"

#include <string.h>

#include "launcher/base/edit-distance.h"
#include "launcher/base/error.h"

static const char *const accelerators[] = {"hvf", "kvm", "tcg", NULL};
static const char *const displays[] = {"auto", "xvfb", "egl-headless", NULL};
static const char *const vsock_devices[] = {"auto", "kernel", "vhost-user", NULL};
static const char *const network_modes[] = {"user", "none", NULL};
static const char *const presets[] = {"ultrafast", "superfast", "veryfast", "faster", "fast", NULL};

static const HxProfileKey keys[] = {
    {"machine", "cpus", HX_PROFILE_INTEGER, "2", NULL, 1, 64, "virtual CPUs"},
    {"machine", "memory", HX_PROFILE_INTEGER, "2048", NULL, 256, 1 << 20, "memory, MiB"},
    {"machine", "accelerators", HX_PROFILE_CHOICE_LIST, "hvf;kvm;tcg", accelerators, 0, 0,
     "accelerators to try, in order"},
    {"boot", "cmdline", HX_PROFILE_STRING, "root=/dev/vda rw console=ttyS0 quiet", NULL, 0, 0,
     "the kernel's command line"},
    {"disk", "image", HX_PROFILE_STRING, "default", NULL, 0, 0,
     "the base image, as `helixvm image list` names it"},
    {"disk", "size", HX_PROFILE_INTEGER, "20", NULL, 1, 1 << 16, "the disk's size, GiB"},
    {"gpu", "enabled", HX_PROFILE_BOOLEAN, "true", NULL, 0, 0,
     "a virtio-gpu-gl device: OpenGL through virgl"},
    {"gpu", "venus", HX_PROFILE_BOOLEAN, "true", NULL, 0, 0, "Vulkan through Venus"},
    {"gpu", "hostmem", HX_PROFILE_INTEGER, "256", NULL, 16, 1 << 16,
     "the window that maps host GPU memory into the guest, MiB"},
    {"gpu", "display", HX_PROFILE_CHOICE, "auto", displays, 0, 0,
     "where QEMU has its GL context: auto takes a render node where there is one"},
    {"vsock", "device", HX_PROFILE_CHOICE, "auto", vsock_devices, 0, 0,
     "auto: the kernel's vhost-vsock where it works, else helixvm-vsock"},
    {"network", "mode", HX_PROFILE_CHOICE, "user", network_modes, 0, 0,
     "user: QEMU's own network stack; no port of the host is opened"},
    {"encoder", "preset", HX_PROFILE_CHOICE, "superfast", presets, 0, 0, "x264 preset"},
    {"encoder", "bitrate", HX_PROFILE_INTEGER, "8000", NULL, 100, 200000,
     "bit rate where the guest asks for none, kbit/s"},
    {"encoder", "keyframe-interval", HX_PROFILE_INTEGER, "120", NULL, 1, 10000,
     "frames from one keyframe to the next at most"},
    {NULL, NULL, 0, NULL, NULL, 0, 0, NULL},
};

struct HxProfile {
    char *values[G_N_ELEMENTS(keys)];
};

const HxProfileKey *hx_profile_keys(void)
{
    return keys;
}

HxProfile *hx_profile_new(void)
{
    HxProfile *profile = g_new0(HxProfile, 1);
    for (size_t i = 0; keys[i].section; i++)
        profile->values[i] = g_strdup(keys[i].standard);
    return profile;
}

void hx_profile_free(HxProfile *profile)
{
    if (!profile)
        return;
    for (size_t i = 0; keys[i].section; i++)
        g_free(profile->values[i]);
    g_free(profile);
}

static int find_key(const char *section, const char *key)
{
    for (int i = 0; keys[i].section; i++)
        if (g_str_equal(keys[i].section, section) && g_str_equal(keys[i].key, key))
            return i;
    return -1;
}

static char *nearest_key(const char *section, const char *key)
{
    g_autofree char *wanted = g_strdup_printf("%s.%s", section, key);
    char *nearest = NULL;
    size_t least = G_MAXSIZE;
    for (int i = 0; keys[i].section; i++) {
        g_autofree char *known = g_strdup_printf("%s.%s", keys[i].section, keys[i].key);
        /* A key in the wrong section is near, however far the sections are apart. */
        size_t distance =
            MIN(hx_edit_distance(wanted, known), hx_edit_distance(key, keys[i].key) + 1);
        if (distance < least) {
            least = distance;
            g_free(nearest);
            nearest = g_steal_pointer(&known);
        }
    }
    return nearest;
}

static gboolean is_word_of(const char *word, const char *const *values)
{
    return g_strv_contains(values, word);
}

static gboolean is_list_of(const char *value, const char *const *values)
{
    g_auto(GStrv) words = g_strsplit(value, ";", -1);
    guint n = g_strv_length(words);
    if (n > 0 && *words[n - 1] == '\0')
        n--; /* GKeyFile lists may end with their separator */
    for (guint i = 0; i < n; i++)
        if (!is_word_of(words[i], values))
            return FALSE;
    return n > 0;
}

static gboolean is_printable(const char *value)
{
    for (const char *c = value; *c; c++)
        if (g_ascii_iscntrl(*c))
            return FALSE;
    return g_utf8_validate(value, -1, NULL);
}

/* What is wrong with @value for @key, for g_free; NULL where it is right. */
static char *objection(const HxProfileKey *key, const char *value)
{
    g_autofree char *words = key->values ? g_strjoinv(", ", (char **)key->values) : NULL;
    gint64 number;
    switch (key->type) {
    case HX_PROFILE_STRING:
        return is_printable(value) ? NULL : g_strdup("printable text");
    case HX_PROFILE_INTEGER:
        if (g_ascii_string_to_signed(value, 10, key->min, key->max, &number, NULL))
            return NULL;
        return g_strdup_printf("a whole number from %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT,
                               key->min, key->max);
    case HX_PROFILE_BOOLEAN:
        if (g_str_equal(value, "true") || g_str_equal(value, "false"))
            return NULL;
        return g_strdup("true or false");
    case HX_PROFILE_CHOICE:
        return is_word_of(value, key->values) ? NULL : g_strdup_printf("one of %s", words);
    case HX_PROFILE_CHOICE_LIST:
        return is_list_of(value, key->values)
                   ? NULL
                   : g_strdup_printf("a list of %s, separated by ';'", words);
    }
    g_assert_not_reached();
}

/* Check one setting; @where is "FILE:LINE" or "--set". */
static gboolean check_setting(const char *where, const char *section, const char *key,
                              const char *value, int *ret_index, GError **error)
{
    int index = find_key(section, key);
    if (index < 0) {
        g_autofree char *nearest = nearest_key(section, key);
        g_set_error(error, HX_ERROR, HX_ERROR_CONFIG,
                    "%s: unknown key \"%s.%s\"; the nearest known one is \"%s\" (helixvm(1), "
                    "PROFILES, lists all)",
                    where, section, key, nearest);
        return FALSE;
    }
    g_autofree char *allowed = objection(&keys[index], value);
    if (allowed) {
        g_set_error(error, HX_ERROR, HX_ERROR_CONFIG, "%s: \"%s.%s\" is \"%s\", but must be %s",
                    where, section, key, value, allowed);
        return FALSE;
    }
    *ret_index = index;
    return TRUE;
}

/* The line of @key in @section of @text, from 1; 0 where it is not found. */
static int line_of(const char *text, const char *section, const char *key)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    g_autofree char *header = g_strdup_printf("[%s]", section);
    gboolean inside = FALSE;
    for (int i = 0; lines[i]; i++) {
        char *line = g_strstrip(lines[i]);
        size_t length = strlen(key);
        if (*line == '[')
            inside = g_str_has_prefix(line, header);
        else if (inside && strncmp(line, key, length) == 0 && strchr("= \t", line[length]))
            return i + 1;
    }
    return 0;
}

gboolean hx_profile_merge_file(HxProfile *profile, const char *path, GError **error)
{
    g_autoptr(GError) cause = NULL;
    g_autofree char *text = NULL;
    if (!g_file_get_contents(path, &text, NULL, &cause)) {
        gboolean missing = g_error_matches(cause, G_FILE_ERROR, G_FILE_ERROR_NOENT);
        g_set_error(error, HX_ERROR, missing ? HX_ERROR_NOT_FOUND : HX_ERROR_CONFIG,
                    "cannot read the profile: %s", cause->message);
        return FALSE;
    }
    g_autoptr(GKeyFile) file = g_key_file_new();
    if (!g_key_file_load_from_data(file, text, -1, G_KEY_FILE_NONE, &cause)) {
        g_set_error(error, HX_ERROR, HX_ERROR_CONFIG, "%s: %s", path, cause->message);
        return FALSE;
    }
    g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_set_size(found, G_N_ELEMENTS(keys));
    g_auto(GStrv) sections = g_key_file_get_groups(file, NULL);
    for (char **section = sections; *section; section++) {
        g_auto(GStrv) names = g_key_file_get_keys(file, *section, NULL, NULL);
        for (char **name = names; name && *name; name++) {
            g_autofree char *where = g_strdup_printf("%s:%d", path, line_of(text, *section, *name));
            g_autofree char *value = g_key_file_get_value(file, *section, *name, NULL);
            int index = -1;
            if (!check_setting(where, *section, *name, value, &index, error))
                return FALSE;
            g_free(found->pdata[index]);
            found->pdata[index] = g_steal_pointer(&value);
        }
    }
    for (size_t i = 0; keys[i].section; i++) {
        if (!found->pdata[i])
            continue;
        g_free(profile->values[i]);
        profile->values[i] = g_steal_pointer(&found->pdata[i]);
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
    if (!check_setting("--set", section, key, equals + 1, &index, error))
        return FALSE;
    g_free(profile->values[index]);
    profile->values[index] = g_strdup(equals + 1);
    return TRUE;
}

const char *hx_profile_string(const HxProfile *profile, const char *name)
{
    for (size_t i = 0; keys[i].section; i++) {
        size_t length = strlen(keys[i].section);
        if (strncmp(name, keys[i].section, length) == 0 && name[length] == '.' &&
            g_str_equal(name + length + 1, keys[i].key))
            return profile->values[i];
    }
    g_error("\"%s\" is not in the table of profile keys", name);
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
    char **words = g_strsplit(hx_profile_string(profile, name), ";", -1);
    guint n = g_strv_length(words);
    if (n > 0 && *words[n - 1] == '\0')
        g_clear_pointer(&words[n - 1], g_free);
    return words;
}

char *hx_profile_to_data(const HxProfile *profile)
{
    g_autoptr(GString) data = g_string_new(NULL);
    const char *section = NULL;
    for (size_t i = 0; keys[i].section; i++) {
        if (!section || !g_str_equal(section, keys[i].section))
            g_string_append_printf(data, "%s[%s]\n", section ? "\n" : "", keys[i].section);
        section = keys[i].section;
        g_string_append_printf(data, "%s=%s\n", keys[i].key, profile->values[i]);
    }
    return g_string_free(g_steal_pointer(&data), FALSE);
}
