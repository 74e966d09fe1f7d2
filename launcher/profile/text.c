/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/profile/text.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "launcher/base/edit-distance.h"
#include "launcher/base/error.h"
#include "launcher/base/fd.h"
#include "launcher/profile/keys.h"

#define MAX_SIZE (1 << 20)

typedef struct {
    guint line;
    char *section; /* NULL before the first one, and in one that is unknown */
    gboolean in_unknown;
    guint *seen; /* for each key the line that set it, 0 where none has */
    GPtrArray *settings;
    GPtrArray *objections;
} Parser;

/* --- reading --------------------------------------------------------------------------------- */

static char *read_text(int fd, gsize *ret_length, GError **error)
{
    g_autofree char *text = g_malloc(MAX_SIZE + 1);
    size_t length = 0;
    ssize_t size = 1;
    while (length <= MAX_SIZE && size != 0) {
        size = read(fd, text + length, MAX_SIZE + 1 - length);
        if (size < 0 && errno != EINTR) {
            hx_set_error_errno(error, HX_ERROR_CONFIG, errno, "it cannot be read");
            return NULL;
        }
        length += MAX(size, 0);
    }
    if (length > MAX_SIZE) {
        g_set_error(error, HX_ERROR, HX_ERROR_CONFIG, "it is larger than 1 MiB");
        return NULL;
    }
    text[length] = '\0';
    *ret_length = length;
    return g_steal_pointer(&text);
}

char *hx_profile_text_read(const char *path, gsize *ret_length, GError **error)
{
    /* To open a FIFO that nobody writes to would wait; one is what a shell's <(COMMAND) gives. */
    hx_autofd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        int code = errno == ENOENT ? HX_ERROR_NOT_FOUND : HX_ERROR_CONFIG;
        hx_set_error_errno(error, code, errno, "cannot read the profile %s", path);
        return NULL;
    }
    hx_set_nonblocking(fd, FALSE);
    g_autofree char *text = read_text(fd, ret_length, error);
    struct stat file;
    if (text && *ret_length == 0 && fstat(fd, &file) == 0 && S_ISFIFO(file.st_mode)) {
        g_set_error(error, HX_ERROR, HX_ERROR_CONFIG, "nobody writes to it");
        g_clear_pointer(&text, g_free);
    }
    if (!text)
        g_prefix_error(error, "cannot read the profile %s: ", path);
    return g_steal_pointer(&text);
}

/* --- parsing --------------------------------------------------------------------------------- */

static void setting_free(void *data)
{
    HxProfileSetting *setting = data;
    g_free(setting->value);
    g_free(setting);
}

void hx_profile_objection_free(HxProfileObjection *objection)
{
    g_free(objection->key);
    g_free(objection->message);
    g_free(objection);
}

/* Takes @key, which may be NULL, and @message. */
static void add_objection(Parser *parser, char *key, char *message)
{
    HxProfileObjection *objection = g_new0(HxProfileObjection, 1);
    *objection = (HxProfileObjection){.line = parser->line, .key = key, .message = message};
    g_ptr_array_add(parser->objections, objection);
}

static G_GNUC_PRINTF(2, 3) void object(Parser *parser, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    add_objection(parser, NULL, g_strdup_vprintf(format, arguments));
    va_end(arguments);
}

/* @text as it may be shown: control characters and what is no UTF-8 never reach a terminal. */
static char *shown(const char *text)
{
    g_autofree char *valid = g_utf8_make_valid(text, -1);
    return g_strescape(valid, NULL);
}

char *hx_profile_setting_objection(const char *section, const char *key, const char *value,
                                   int *ret_key)
{
    int index = hx_profile_key_find(section, key);
    g_autofree char *shown_section = shown(section);
    g_autofree char *shown_key = shown(key);
    if (index < 0) {
        g_autofree char *nearest = hx_profile_key_nearest(section, key);
        if (!nearest)
            return g_strdup_printf(
                "unknown key \"%s.%s\": `helixvm profile keys` lists those there are",
                shown_section, shown_key);
        return g_strdup_printf("unknown key \"%s.%s\"; the nearest known one is \"%s\" "
                               "(`helixvm profile keys` lists all)",
                               shown_section, shown_key, nearest);
    }
    g_autofree char *allowed = hx_profile_key_objection(&hx_profile_keys()[index], value);
    if (allowed) {
        g_autofree char *shown_value = shown(value);
        return g_strdup_printf("\"%s.%s\" is \"%s\", but must be %s", section, key, shown_value,
                               allowed);
    }
    *ret_key = index;
    return NULL;
}

/* NULL where none is near. */
static const char *nearest_section(const char *name)
{
    g_autoptr(GPtrArray) sections = g_ptr_array_new();
    for (const HxProfileKey *key = hx_profile_keys(); key->section; key++)
        g_ptr_array_add(sections, (char *)key->section);
    g_ptr_array_add(sections, NULL);
    return hx_nearest_word(name, (const char *const *)sections->pdata);
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
        const char *nearest = nearest_section(line + 1);
        object(parser, "unknown section \"%s\"%s%s%s", name,
               nearest ? "; the nearest known one is \"" : ": `helixvm profile keys` lists all",
               nearest ?: "", nearest ? "\"" : "");
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
    int key = -1;
    char *objection = hx_profile_setting_objection(parser->section, name, value, &key);
    if (!objection && parser->seen[key])
        objection = g_strdup_printf("\"%s.%s\" comes twice: line %u has it, too", parser->section,
                                    name, parser->seen[key]);
    if (objection) {
        g_autofree char *whole = g_strdup_printf("%s.%s", parser->section, name);
        add_objection(parser, shown(whole), objection);
        return;
    }
    parser->seen[key] = parser->line;
    HxProfileSetting *setting = g_new0(HxProfileSetting, 1);
    *setting = (HxProfileSetting){.key = key, .value = g_strdup(value), .line = parser->line};
    g_ptr_array_add(parser->settings, setting);
}

GPtrArray *hx_profile_text_parse(const char *text, gsize length, GPtrArray *objections)
{
    g_autofree guint *seen = g_new0(guint, hx_profile_key_count());
    Parser parser = {
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
