/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guest-provision/session/config.h"

#include <string.h>

#define GROUP "session"

static const char *const keys[] = {"width",      "height", "fps",     "bitrate", "command",
                                   "background", "panel",  "encoder", "viewers", NULL};

static gboolean fail(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);
static gboolean fail(GError **error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_autofree char *text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, text);
    return FALSE;
}

static gboolean get_int(GKeyFile *file, const char *key, int least, int most, int *value,
                        GError **error)
{
    if (!g_key_file_has_key(file, GROUP, key, NULL))
        return TRUE;
    g_autofree char *text = g_key_file_get_value(file, GROUP, key, NULL);
    gint64 number;
    if (!g_ascii_string_to_signed(text, 10, least, most, &number, NULL))
        return fail(error, "%s=%s: not a number from %d to %d", key, text, least, most);
    *value = (int)number;
    return TRUE;
}

static gboolean get_size(GKeyFile *file, const char *key, int *value, GError **error)
{
    if (!get_int(file, key, 64, 8192, value, error))
        return FALSE;
    /* A picture in 4:2:0 has no odd sides. */
    return *value % 2 == 0 || fail(error, "%s=%d: not even", key, *value);
}

static gboolean get_command(GKeyFile *file, char ***ret_command, GError **error)
{
    g_autofree char *text = g_key_file_get_string(file, GROUP, "command", NULL);
    g_autoptr(GError) cause = NULL;
    if (!text || !*g_strstrip(text))
        return TRUE;
    if (g_shell_parse_argv(text, NULL, ret_command, &cause))
        return TRUE;
    return fail(error, "command=%s: %s", text, cause->message);
}

static gboolean get_background(GKeyFile *file, SessionConfig *config, GError **error)
{
    g_autofree char *text = g_key_file_get_string(file, GROUP, "background", NULL);
    guint64 color;
    if (!text)
        return TRUE;
    if (*text == '/' && !strpbrk(text, "\r\n")) {
        config->background_image = g_steal_pointer(&text);
        return TRUE;
    }
    if (*text != '#' || strlen(text) != 7 ||
        !g_ascii_string_to_unsigned(text + 1, 16, 0, 0xffffff, &color, NULL))
        return fail(error, "background=%s: neither #RRGGBB nor an absolute path", text);
    config->background_color = (guint32)color;
    return TRUE;
}

static gboolean get_panel(GKeyFile *file, gboolean *panel, GError **error)
{
    g_autofree char *text = g_key_file_get_value(file, GROUP, "panel", NULL);
    if (!text)
        return TRUE;
    *panel = g_str_equal(text, "true");
    return *panel || g_str_equal(text, "false") ||
           fail(error, "panel=%s: neither true nor false", text);
}

static gboolean get_encoder(GKeyFile *file, SessionEncoder *encoder, GError **error)
{
    static const char *const names[] = {"auto", "host", "guest"};
    g_autofree char *text = g_key_file_get_string(file, GROUP, "encoder", NULL);
    if (!text)
        return TRUE;
    for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
        if (strcmp(text, names[i]) != 0)
            continue;
        *encoder = (SessionEncoder)i;
        return TRUE;
    }
    return fail(error, "encoder=%s: not one of auto, host, guest", text);
}

static gboolean check_names(GKeyFile *file, GError **error)
{
    g_auto(GStrv) groups = g_key_file_get_groups(file, NULL);
    for (char **group = groups; *group; group++)
        if (strcmp(*group, GROUP) != 0)
            return fail(error, "unknown group [%s]: there is [" GROUP "] alone", *group);
    g_auto(GStrv) found = g_key_file_get_keys(file, GROUP, NULL, NULL);
    for (char **key = found; key && *key; key++) {
        if (g_strv_contains(keys, *key))
            continue;
        g_autofree char *known = g_strjoinv(", ", (char **)keys);
        return fail(error, "unknown key \"%s\": there are %s", *key, known);
    }
    return TRUE;
}

gboolean session_config_parse(SessionConfig *ret_config, const char *text, GError **error)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autoptr(GError) cause = NULL;
    g_auto(SessionConfig) config = {
        .width = 1280, .height = 720, .fps = 30, .background_color = 0x264653, .viewers = 16};
    *ret_config = (SessionConfig){0};
    if (!g_key_file_load_from_data(file, text, strlen(text), G_KEY_FILE_NONE, &cause) &&
        !g_error_matches(cause, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_NOT_FOUND))
        return fail(error, "%s", cause->message);
    if (!check_names(file, error) || !get_size(file, "width", &config.width, error) ||
        !get_size(file, "height", &config.height, error) ||
        !get_int(file, "fps", 1, 120, &config.fps, error) ||
        !get_int(file, "bitrate", 0, 1000000, &config.bitrate, error) ||
        !get_int(file, "viewers", 1, 64, &config.viewers, error) ||
        !get_command(file, &config.command, error) || !get_background(file, &config, error) ||
        !get_panel(file, &config.panel, error) || !get_encoder(file, &config.encoder, error))
        return FALSE;
    *ret_config = config;
    config = (SessionConfig){0};
    return TRUE;
}

gboolean session_config_load(SessionConfig *ret_config, const char *path, GError **error)
{
    g_autofree char *text = NULL;
    *ret_config = (SessionConfig){0};
    if (!g_file_get_contents(path, &text, NULL, error))
        return FALSE;
    if (session_config_parse(ret_config, text, error))
        return TRUE;
    g_prefix_error(error, "%s: ", path);
    return FALSE;
}

void session_config_clear(SessionConfig *config)
{
    g_clear_pointer(&config->command, g_strfreev);
    g_clear_pointer(&config->background_image, g_free);
}

gboolean session_name_is_valid(const char *name)
{
    gsize length = strlen(name);
    if (!length || length > 64 || *name == '.')
        return FALSE;
    for (; *name; name++)
        if (!g_ascii_isalnum(*name) && !strchr("-_.", *name))
            return FALSE;
    return TRUE;
}
