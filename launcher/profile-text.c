/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/profile-text.h"

#include <string.h>

#include "launcher/base/edit-distance.h"
#include "launcher/profile-keys.h"

typedef struct {
    const char *path;
    guint line;
    char *section; /* NULL before the first one, and in one that is unknown */
    gboolean in_unknown;
    guint *seen; /* for each key the line that set it, 0 where none has */
    GPtrArray *settings;
    GPtrArray *objections;
} Parser;

static void setting_free(void *data)
{
    HxProfileSetting *setting = data;
    g_free(setting->value);
    g_free(setting);
}

static G_GNUC_PRINTF(2, 3) void object(Parser *parser, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_autofree char *what = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    g_ptr_array_add(parser->objections,
                    g_strdup_printf("%s:%u: %s", parser->path, parser->line, what));
}

/* @text as it may be shown: control characters and what is no UTF-8 never reach a terminal. */
static char *shown(const char *text)
{
    g_autofree char *valid = g_utf8_make_valid(text, -1);
    return g_strescape(valid, NULL);
}

char *hx_profile_setting_objection(const char *where, const char *section, const char *key,
                                   const char *value, int *ret_key)
{
    int index = hx_profile_key_find(section, key);
    g_autofree char *shown_section = shown(section);
    g_autofree char *shown_key = shown(key);
    if (index < 0) {
        g_autofree char *nearest = hx_profile_key_nearest(section, key);
        return g_strdup_printf("%s: unknown key \"%s.%s\"; the nearest known one is \"%s\" "
                               "(`helixvm profile keys` lists all)",
                               where, shown_section, shown_key, nearest);
    }
    g_autofree char *allowed = hx_profile_key_objection(&hx_profile_keys()[index], value);
    if (allowed) {
        g_autofree char *shown_value = shown(value);
        return g_strdup_printf("%s: \"%s.%s\" is \"%s\", but must be %s", where, section, key,
                               shown_value, allowed);
    }
    *ret_key = index;
    return NULL;
}

static const char *nearest_section(const char *name)
{
    const HxProfileKey *keys = hx_profile_keys();
    const char *nearest = keys->section;
    for (const HxProfileKey *key = keys; key->section; key++)
        if (hx_edit_distance(name, key->section) < hx_edit_distance(name, nearest))
            nearest = key->section;
    return nearest;
}

static gboolean is_section(const char *name)
{
    for (const HxProfileKey *key = hx_profile_keys(); key->section; key++)
        if (g_str_equal(key->section, name))
            return TRUE;
    return FALSE;
}

/* "[NAME]" */
static void take_header(Parser *parser, char *line)
{
    g_clear_pointer(&parser->section, g_free);
    parser->in_unknown = TRUE;
    char *end = strchr(line, ']');
    if (!end || end[1] != '\0') {
        g_autofree char *text = shown(line);
        object(parser, "\"%s\" begins a section, but does not end with its only \"]\"", text);
        return;
    }
    *end = '\0';
    if (!is_section(line + 1)) {
        g_autofree char *name = shown(line + 1);
        object(parser, "unknown section \"%s\"; the nearest known one is \"%s\"", name,
               nearest_section(line + 1));
    }
    /* Its keys are still looked at: the right name for each may be in another section. */
    parser->section = g_strdup(line + 1);
    parser->in_unknown = FALSE;
}

/* "KEY=VALUE" */
static void take_setting(Parser *parser, char *line)
{
    char *equals = strchr(line, '=');
    if (!equals || equals == line) {
        g_autofree char *text = shown(line);
        object(parser, "\"%s\" is neither [section] nor key=value nor a comment (#)", text);
        return;
    }
    if (!parser->section) {
        if (!parser->in_unknown)
            object(parser, "a key before any [section]");
        return;
    }
    *equals = '\0';
    const char *name = g_strchomp(line);
    const char *value = g_strchug(equals + 1);
    g_autofree char *where = g_strdup_printf("%s:%u", parser->path, parser->line);
    int key = -1;
    char *objection = hx_profile_setting_objection(where, parser->section, name, value, &key);
    if (objection) {
        g_ptr_array_add(parser->objections, objection);
        return;
    }
    if (parser->seen[key]) {
        object(parser, "\"%s.%s\" comes twice: line %u has it, too", parser->section, name,
               parser->seen[key]);
        return;
    }
    parser->seen[key] = parser->line;
    HxProfileSetting *setting = g_new0(HxProfileSetting, 1);
    *setting = (HxProfileSetting){.key = key, .value = g_strdup(value), .line = parser->line};
    g_ptr_array_add(parser->settings, setting);
}

GPtrArray *hx_profile_text_parse(const char *path, const char *text, gsize length,
                                 GPtrArray *objections)
{
    g_autofree guint *seen = g_new0(guint, hx_profile_key_count());
    Parser parser = {
        .path = path,
        .seen = seen,
        .settings = g_ptr_array_new_with_free_func(setting_free),
        .objections = objections,
    };
    const char *end = text + length;
    for (const char *next = text; next < end;) {
        const char *newline = memchr(next, '\n', end - next);
        gsize size = (newline ? newline : end) - next;
        parser.line++;
        if (!g_utf8_validate(next, size, NULL)) {
            object(&parser, "not UTF-8 text");
        } else {
            g_autofree char *copy = g_strndup(next, size);
            char *line = g_strstrip(copy);
            if (*line == '[')
                take_header(&parser, line);
            else if (*line && *line != '#')
                take_setting(&parser, line);
        }
        next += size + 1;
    }
    g_free(parser.section);
    return parser.settings;
}
