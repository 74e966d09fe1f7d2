/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guest-provision/session-settings.h"

#include <string.h>

#include "guest-provision/session/config.h"
#include "launcher/base/error.h"

#define GROUP "session"

static gboolean set(GKeyFile *file, const char *setting, gboolean *changed, GError **error)
{
    const char *equals = strchr(setting, '=');
    if (!equals || equals == setting || !g_utf8_validate(setting, -1, NULL) ||
        strspn(setting, "abcdefghijklmnopqrstuvwxyz-") != (size_t)(equals - setting)) {
        g_autofree char *valid = g_utf8_make_valid(setting, -1);
        g_set_error(error, HX_ERROR, HX_ERROR_USAGE,
                    "a session's setting is KEY=VALUE in UTF-8, and not \"%s\"", valid);
        return FALSE;
    }
    g_autofree char *key = g_strndup(setting, equals - setting);
    g_autofree char *before = g_key_file_get_string(file, GROUP, key, NULL);
    if (g_strcmp0(before, equals + 1) == 0)
        return TRUE;
    g_key_file_set_string(file, GROUP, key, equals + 1);
    *changed = TRUE;
    return TRUE;
}

char *hx_session_settings_apply(const char *text, const char *const *settings, GError **error)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autoptr(GError) cause = NULL;
    gboolean changed = FALSE;
    if (!g_key_file_load_from_data(file, text, strlen(text), G_KEY_FILE_KEEP_COMMENTS, &cause)) {
        g_set_error(error, HX_ERROR, HX_ERROR_USAGE,
                    "the session's configuration cannot be changed: %s", cause->message);
        return NULL;
    }
    for (; *settings; settings++)
        if (!set(file, *settings, &changed, error))
            return NULL;
    g_autofree char *result = changed ? g_key_file_to_data(file, NULL, NULL) : g_strdup(text);
    g_auto(SessionConfig) config = {0};
    if (session_config_parse(&config, result, &cause))
        return g_steal_pointer(&result);
    g_set_error(error, HX_ERROR, HX_ERROR_USAGE, "a session's settings: %s", cause->message);
    return NULL;
}

gboolean hx_session_settings_add_size(GPtrArray *settings, const char *size, GError **error)
{
    size_t width = strspn(size, "0123456789");
    const char *height = size + width + 1;
    if (width == 0 || size[width] != 'x' || !*height || height[strspn(height, "0123456789")]) {
        g_set_error(error, HX_ERROR, HX_ERROR_USAGE,
                    "\"%s\" is no size: it is WIDTHxHEIGHT, such as 1280x720", size);
        return FALSE;
    }
    g_ptr_array_add(settings, g_strdup_printf("width=%.*s", (int)width, size));
    g_ptr_array_add(settings, g_strdup_printf("height=%s", height));
    return TRUE;
}
