/* SPDX-License-Identifier: GPL-2.0-or-later */
/* helixvm profile list|show|check|keys */
#include <json-glib/json-glib.h>
#include <stdio.h>
#include <string.h>

#include "cli/json-print.h"
#include "cli/profile-options.h"
#include "cli/screen.h"
#include "cli/verb.h"
#include "launcher/base/error.h"
#include "launcher/base/json.h"
#include "launcher/profile/find.h"
#include "launcher/profile/text.h"

/* --- list ------------------------------------------------------------------------------------ */

static void print_files_json(const GPtrArray *files)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();
    json_builder_begin_array(builder);
    for (guint i = 0; i < files->len; i++) {
        const HxProfileFile *file = files->pdata[i];
        json_builder_begin_object(builder);
        hx_json_add_string(builder, "name", file->name);
        hx_json_add_string(builder, "kind", file->kind);
        hx_json_add_string(builder, "path", file->path);
        hx_json_add_string(builder, "summary", file->summary);
        json_builder_end_object(builder);
    }
    json_builder_end_array(builder);
    hx_json_print(builder);
}

static gboolean list(int argc, char **argv, GError **error)
{
    gboolean json = FALSE;
    const GOptionEntry options[] = {
        {"json", 0, 0, G_OPTION_ARG_NONE, &json, "print JSON", NULL},
        G_OPTION_ENTRY_NULL,
    };
    if (!hx_verb_parse("", options, &argc, &argv, 0, 0, error))
        return FALSE;
    g_autoptr(GPtrArray) files = hx_profile_list_files(error);
    if (!files)
        return FALSE;
    if (json) {
        print_files_json(files);
        return TRUE;
    }
    printf("%-16s %-9s %s\n", "NAME", "KIND", "WHAT IT IS");
    for (guint i = 0; i < files->len; i++) {
        const HxProfileFile *file = files->pdata[i];
        int column = printf("%-16s %-9s ", file->name, file->kind);
        hx_screen_print(stdout, *file->summary ? file->summary : file->path, column);
    }
    return TRUE;
}

/* --- show ------------------------------------------------------------------------------------ */

typedef void KeyFunc(const HxProfileKey *key, const char *name, const char *value,
                     const char *origin, void *data);

static void for_each_key(const HxProfile *profile, KeyFunc *function, void *data)
{
    for (const HxProfileKey *key = hx_profile_keys(); key->section; key++) {
        g_autofree char *name = g_strdup_printf("%s.%s", key->section, key->key);
        const char *origin = hx_profile_origin(profile, name);
        function(key, name, hx_profile_string(profile, name), origin ? origin : "standard", data);
    }
}

static void add_value(const HxProfileKey *key, const char *name, const char *value,
                      const char *origin, void *data)
{
    JsonBuilder *builder = data;
    json_builder_set_member_name(builder, name);
    json_builder_begin_object(builder);
    switch (key->type) {
    case HX_PROFILE_INTEGER:
        hx_json_add_integer(builder, "value", g_ascii_strtoll(value, NULL, 10));
        break;
    case HX_PROFILE_BOOLEAN:
        hx_json_add_boolean(builder, "value", g_str_equal(value, "true"));
        break;
    default:
        hx_json_add_string(builder, "value", value);
    }
    hx_json_add_string(builder, "from", origin);
    json_builder_end_object(builder);
}

static void measure(const HxProfileKey *key, const char *name, const char *value,
                    const char *origin, void *data)
{
    size_t *widths = data;
    widths[0] = MAX(widths[0], strlen(name));
    widths[1] = MAX(widths[1], strlen(value));
}

static void print_value(const HxProfileKey *key, const char *name, const char *value,
                        const char *origin, void *data)
{
    const size_t *widths = data;
    printf("%-*s  %-*s  %s\n", (int)widths[0], name, (int)widths[1], value, origin);
}

static gboolean show(int argc, char **argv, GError **error)
{
    g_auto(HxProfileOptions) options = {0};
    gboolean json = FALSE;
    const GOptionEntry entries[] = {
        {"set", 's', 0, G_OPTION_ARG_STRING_ARRAY, &options.settings,
         "set one key of the profile; may be repeated", "SECTION.KEY=VALUE"},
        {"json", 0, 0, G_OPTION_ARG_NONE, &json, "print JSON", NULL},
        G_OPTION_ENTRY_NULL,
    };
    if (!hx_verb_parse("[PROFILE|FILE]", entries, &argc, &argv, 0, 1, error))
        return FALSE;
    options.profile = g_strdup(argc > 1 ? argv[1] : "default");
    g_autoptr(HxProfile) profile = hx_profile_options_load(&options, NULL, error);
    if (!profile)
        return FALSE;
    if (json) {
        g_autoptr(JsonBuilder) builder = json_builder_new();
        json_builder_begin_object(builder);
        for_each_key(profile, add_value, builder);
        json_builder_end_object(builder);
        hx_json_print(builder);
        return TRUE;
    }
    size_t widths[2] = {strlen("KEY"), strlen("VALUE")};
    for_each_key(profile, measure, widths);
    printf("%-*s  %-*s  %s\n", (int)widths[0], "KEY", (int)widths[1], "VALUE", "FROM");
    for_each_key(profile, print_value, widths);
    return TRUE;
}

/* --- check ----------------------------------------------------------------------------------- */

static void add_objections(JsonBuilder *builder, const char *path, const GPtrArray *objections)
{
    for (guint i = 0; i < objections->len; i++) {
        const HxProfileObjection *objection = objections->pdata[i];
        json_builder_begin_object(builder);
        hx_json_add_string(builder, "file", path);
        hx_json_add_integer(builder, "line", objection->line);
        hx_json_add_string(builder, "key", objection->key);
        hx_json_add_string(builder, "message", objection->message);
        json_builder_end_object(builder);
    }
}

static void print_objections(const char *path, const GPtrArray *objections)
{
    if (objections->len == 0)
        printf("%s: no mistake\n", path);
    for (guint i = 0; i < objections->len; i++) {
        const HxProfileObjection *objection = objections->pdata[i];
        printf("%s:%u: %s\n", path, objection->line, objection->message);
    }
}

static gboolean check(int argc, char **argv, GError **error)
{
    gboolean as_json = FALSE;
    const GOptionEntry options[] = {
        {"json", 0, 0, G_OPTION_ARG_NONE, &as_json, "print JSON", NULL},
        G_OPTION_ENTRY_NULL,
    };
    if (!hx_verb_parse("PROFILE|FILE...", options, &argc, &argv, 1, G_MAXINT, error))
        return FALSE;
    guint mistakes = 0;
    g_autoptr(JsonBuilder) builder = json_builder_new();
    json_builder_begin_array(builder);
    for (int i = 1; i < argc; i++) {
        g_autofree char *path = hx_profile_options_path(argv[i], error);
        g_autoptr(GPtrArray) objections = path ? hx_profile_check_file(path, error) : NULL;
        if (!objections)
            return FALSE;
        if (as_json)
            add_objections(builder, path, objections);
        else
            print_objections(path, objections);
        mistakes += objections->len;
    }
    json_builder_end_array(builder);
    if (as_json)
        hx_json_print(builder);
    if (mistakes == 0)
        return TRUE;
    g_set_error(error, HX_ERROR, HX_ERROR_CONFIG, "%u mistake%s", mistakes,
                mistakes == 1 ? "" : "s");
    return FALSE;
}

/* --- keys ------------------------------------------------------------------------------------ */

/* The manual page's item of a key: mdoc(7).  Each sentence has a line of its own. */
static void print_mdoc(const HxProfileKey *key)
{
    g_autofree char *allowed = hx_profile_key_allowed(key);
    g_auto(GStrv) sentences = g_strsplit(key->description, ".  ", -1);
    printf(".It Sy %s.%s\n", key->section, key->key);
    for (char **sentence = sentences; *sentence; sentence++)
        printf("%s%s\n", *sentence, sentence[1] ? "." : "");
    printf("%s%s%s", allowed ? "Values: " : "", allowed ? allowed : "", allowed ? "; " : "");
    printf("%s %s.\n", allowed ? "standard" : "Standard", *key->standard ? key->standard : "none");
}

static void print_keys_json(void)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();
    json_builder_begin_array(builder);
    for (const HxProfileKey *key = hx_profile_keys(); key->section; key++) {
        g_autofree char *name = g_strdup_printf("%s.%s", key->section, key->key);
        g_autofree char *allowed = hx_profile_key_allowed(key);
        json_builder_begin_object(builder);
        hx_json_add_string(builder, "key", name);
        hx_json_add_string(builder, "standard", key->standard);
        hx_json_add_string(builder, "values", allowed);
        hx_json_add_string(builder, "description", key->description);
        json_builder_end_object(builder);
    }
    json_builder_end_array(builder);
    hx_json_print(builder);
}

static void print_key(const HxProfileKey *key)
{
    g_autofree char *allowed = hx_profile_key_allowed(key);
    g_autofree char *values = g_strconcat("Values: ", allowed, NULL);
    printf("%s.%s=%s\n    ", key->section, key->key, key->standard);
    hx_screen_print(stdout, key->description, 4);
    if (allowed) {
        fputs("    ", stdout);
        hx_screen_print(stdout, values, 4);
    }
}

static gboolean list_keys(int argc, char **argv, GError **error)
{
    gboolean json = FALSE;
    gboolean mdoc = FALSE;
    const GOptionEntry options[] = {
        {"json", 0, 0, G_OPTION_ARG_NONE, &json, "print JSON", NULL},
        {"mdoc", 0, G_OPTION_FLAG_HIDDEN, G_OPTION_ARG_NONE, &mdoc, "print for the manual page",
         NULL},
        G_OPTION_ENTRY_NULL,
    };
    if (!hx_verb_parse("", options, &argc, &argv, 0, 0, error))
        return FALSE;
    if (json) {
        print_keys_json();
        return TRUE;
    }
    for (const HxProfileKey *key = hx_profile_keys(); key->section; key++) {
        if (mdoc)
            print_mdoc(key);
        else
            print_key(key);
    }
    return TRUE;
}

const HxVerb hx_verb_profile_actions[] = {
    {"list", "list the profiles", .run = list},
    {"show", "print a profile's values and where each comes from", .run = show},
    {"check", "say all that is wrong with profiles", .run = check},
    {"keys", "print what a profile may say", .run = list_keys},
    {.name = NULL},
};
