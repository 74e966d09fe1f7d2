/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/doctor/apparmor-rules.h"

#include <string.h>

/* AppArmor's pattern as a regular expression: ** crosses '/', * and ? do not, {a,b} is a choice. */
static char *to_regex(const char *pattern)
{
    g_autoptr(GString) regex = g_string_new("^");
    int braces = 0;
    for (const char *c = pattern; *c; c++) {
        if (c[0] == '*' && c[1] == '*') {
            g_string_append(regex, ".*");
            c++;
        } else if (*c == '*') {
            g_string_append(regex, "[^/]*");
        } else if (*c == '?') {
            g_string_append(regex, "[^/]");
        } else if (*c == '{') {
            g_string_append(regex, "(?:");
            braces++;
        } else if (*c == '}' && braces > 0) {
            g_string_append(regex, ")");
            braces--;
        } else if (*c == ',' && braces > 0) {
            g_string_append(regex, "|");
        } else if (*c == '[' || *c == ']') {
            g_string_append_c(regex, *c);
        } else {
            g_autofree char *literal = g_regex_escape_string(c, 1);
            g_string_append(regex, literal);
        }
    }
    g_string_append(regex, "$");
    return g_string_free(g_steal_pointer(&regex), FALSE);
}

static gboolean matches(const char *pattern, const char *path)
{
    g_autofree char *regex = to_regex(pattern);
    return g_regex_match_simple(regex, path, G_REGEX_RAW, 0);
}

/* The file rule in @line: its pattern and permissions, for g_free.  FALSE where it is none. */
static gboolean parse_rule(const char *line, gboolean *ret_deny, char **ret_pattern,
                           char **ret_permissions)
{
    static const char rule[] =
        "^\\s*(audit\\s+)?(deny\\s+)?(owner\\s+)?(?:\"([^\"]+)\"|(/\\S*))\\s+([a-zA-Z]+)\\s*"
        "(?:->\\s*\\S+\\s*)?,\\s*(#.*)?$";
    static GRegex *compiled;
    if (g_once_init_enter_pointer(&compiled))
        g_once_init_leave_pointer(&compiled, g_regex_new(rule, G_REGEX_RAW, 0, NULL));
    g_autoptr(GMatchInfo) found = NULL;
    if (!g_regex_match(compiled, line, 0, &found))
        return FALSE;
    g_autofree char *deny = g_match_info_fetch(found, 2);
    g_autofree char *quoted = g_match_info_fetch(found, 4);
    g_autofree char *bare = g_match_info_fetch(found, 5);
    *ret_deny = deny && *deny;
    *ret_pattern = g_strdup(quoted && *quoted ? quoted : bare);
    *ret_permissions = g_match_info_fetch(found, 6);
    return TRUE;
}

gboolean hx_apparmor_allows(const char *text, const char *path, const char *permissions)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    g_autoptr(GString) allowed = g_string_new(NULL);
    g_autoptr(GString) denied = g_string_new(NULL);
    for (char **line = lines; *line; line++) {
        gboolean deny = FALSE;
        g_autofree char *pattern = NULL;
        g_autofree char *letters = NULL;
        if (parse_rule(*line, &deny, &pattern, &letters) && matches(pattern, path))
            g_string_append(deny ? denied : allowed, letters);
    }
    for (const char *letter = permissions; *letter; letter++)
        if (!strchr(allowed->str, *letter) || strchr(denied->str, *letter))
            return FALSE;
    return TRUE;
}

char *hx_apparmor_missing(const char *text, const char *state, const char *runtime)
{
    g_autofree char *module = g_build_filename(state, "vms/*/libhelixvm-export.so", NULL);
    g_autofree char *device = g_build_filename(runtime, "*/vsock-device.sock", NULL);
    g_autofree char *export = g_build_filename(runtime, "*/qemu/*", NULL);
    const struct {
        const char *pattern, *asked, *granted;
    } needs[] = {
        {module, "mr", "mr"},
        {device, "rw", "rw"},
        {export, "rw", "rw"},
        {"/usr/libexec/virgl_render_server", "x", "rmix"},
    };
    g_autoptr(GString) missing = g_string_new(NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(needs); i++) {
        g_auto(GStrv) pieces = g_strsplit(needs[i].pattern, "*", -1);
        g_autofree char *path = g_strjoinv("example", pieces);
        if (!hx_apparmor_allows(text, path, needs[i].asked))
            g_string_append_printf(missing, "%s%s %s,", missing->len ? "\n" : "", needs[i].pattern,
                                   needs[i].granted);
    }
    return missing->len ? g_string_free(g_steal_pointer(&missing), FALSE) : NULL;
}
