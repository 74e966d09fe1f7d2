/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guest-provision/session-settings.h"

#include "guest-provision/guest-session.h"
#include "launcher/base/error.h"

static void applies(const char *text, const char *const *settings, const char *expected)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *result = hx_session_settings_apply(text, settings, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(result, ==, expected);
}

static void test_apply(void)
{
    const char *const both[] = {"width=640", "height=480", NULL};
    applies("", both, "[session]\nwidth=640\nheight=480\n");
    applies("# mine\n[session]\nfps=10\n# so wide\nwidth=1280\n", both,
            "# mine\n[session]\nfps=10\n# so wide\nwidth=640\nheight=480\n");
    const char *const twice[] = {"fps=10", "fps=20", NULL};
    applies("", twice, "[session]\nfps=20\n");
}

/* Nothing to do leaves every byte as it is. */
static void test_same(void)
{
    static const char text[] = "\n[session]\n width = 640\n\ncommand=a 'b c'\n";
    const char *const settings[] = {"width=640", "command=a 'b c'", NULL};
    applies(text, settings, text);
    applies(text, settings + 2, text);
}

/* What a shell quotes comes out of the guest's parser as it went in. */
static void test_command(void)
{
    static const char *const words[] = {"sh",    "-c", "echo \"$0\" 'x'\n[session]\nwidth=2",
                                        "tab\t", "",   " \\s back\\slash "};
    g_autoptr(GString) setting = g_string_new("command=");
    for (gsize i = 0; i < G_N_ELEMENTS(words); i++) {
        g_autofree char *quoted = g_shell_quote(words[i]);
        g_string_append_printf(setting, "%s%s", i ? " " : "", quoted);
    }
    const char *const settings[] = {setting->str, NULL};
    g_autoptr(GError) error = NULL;
    g_auto(SessionConfig) config = {0};
    g_autofree char *text = hx_session_settings_apply("", settings, &error);
    g_assert_no_error(error);
    g_assert_true(session_config_parse(&config, text, &error));
    g_assert_cmpuint(g_strv_length(config.command), ==, G_N_ELEMENTS(words));
    for (gsize i = 0; i < G_N_ELEMENTS(words); i++)
        g_assert_cmpstr(config.command[i], ==, words[i]);
    g_assert_cmpint(config.width, ==, 1280);
    applies(text, settings, text);
}

static void test_refused(void)
{
    static const struct {
        const char *text, *setting, *says;
    } cases[] = {
        {"", "width=641", "*width=641: not even*"},
        {"", "fps=0", "*fps=0: not a number from 1 to 120*"},
        {"", "colour=1", "*unknown key \"colour\": there are width,*"},
        {"", "width", "*KEY=VALUE*\"width\"*"},
        {"", "=1", "*KEY=VALUE*"},
        {"", "a]\n[b=1", "*KEY=VALUE*"},
        {"", "command=\xff", "*in UTF-8*"},
        {"", "command='", "*command=':*"},
        {"", "background=/a\n/b", "*background=*"},
        {"[session]\nnonsense\n", "fps=10", "*cannot be changed:*nonsense*"},
        {"[other]\n", "fps=10", "*unknown group [other]*"},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        const char *const settings[] = {cases[i].setting, NULL};
        g_autoptr(GError) error = NULL;
        g_assert_null(hx_session_settings_apply(cases[i].text, settings, &error));
        g_assert_error(error, HX_ERROR, HX_ERROR_USAGE);
        if (!g_pattern_match_simple(cases[i].says, error->message))
            g_error("%s: \"%s\"", cases[i].setting, error->message);
    }
}

static void test_size(void)
{
    static const char *const bad[] = {"",        "x",        "640",      "640x", "x480",
                                      "640X480", "640x480x", "640x-480", "-6x4", "640 x 480"};
    g_autoptr(GPtrArray) settings = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GError) error = NULL;
    g_assert_true(hx_session_settings_add_size(settings, "640x480", &error));
    g_assert_no_error(error);
    g_assert_cmpstr(settings->pdata[0], ==, "width=640");
    g_assert_cmpstr(settings->pdata[1], ==, "height=480");
    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_assert_false(hx_session_settings_add_size(settings, bad[i], &error));
        g_assert_error(error, HX_ERROR, HX_ERROR_USAGE);
        g_clear_error(&error);
    }
    g_assert_cmpuint(settings->len, ==, 2);
}

/* Part of a path in the guest and of a unit's name. */
static void test_names(void)
{
    static const char *const good[] = {"a", "desktop", "A-b_c.2",
                                       "1234567890123456789012345678901234567890"};
    static const char *const bad[] = {
        "",       ".",        "..",  "-a",
        ".a",     "a b",      "a/b", "../desktop",
        "a\nb",   "a@b",      "a;b", "$(id)",
        "a\\x2d", "\xc3\xa4", "a%i", "12345678901234567890123456789012345678901"};
    g_autoptr(GError) error = NULL;
    for (gsize i = 0; i < G_N_ELEMENTS(good); i++) {
        g_assert_true(hx_guest_session_check_name(good[i], &error));
        g_assert_no_error(error);
    }
    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_assert_false(hx_guest_session_check_name(bad[i], &error));
        g_assert_error(error, HX_ERROR, HX_ERROR_USAGE);
        g_clear_error(&error);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/session-settings/apply", test_apply);
    g_test_add_func("/session-settings/same", test_same);
    g_test_add_func("/session-settings/command", test_command);
    g_test_add_func("/session-settings/refused", test_refused);
    g_test_add_func("/session-settings/size", test_size);
    g_test_add_func("/session-settings/names", test_names);
    return g_test_run();
}
