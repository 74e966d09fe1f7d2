/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guest-provision/session/config.h"
#include "guest-provision/session/desktop-files.h"
#include "guest-provision/session/link.h"

#include <string.h>

static void test_defaults(void)
{
    g_auto(SessionConfig) config = {0};
    g_autoptr(GError) error = NULL;
    g_assert_true(session_config_parse(&config, "", &error));
    g_assert_no_error(error);
    g_assert_cmpint(config.width, ==, 1280);
    g_assert_cmpint(config.height, ==, 720);
    g_assert_cmpint(config.fps, ==, 30);
    g_assert_cmpint(config.viewers, ==, 16);
    g_assert_null(config.command);
    g_assert_cmpint(config.encoder, ==, SESSION_ENCODER_AUTO);
}

static void test_all(void)
{
    g_auto(SessionConfig) config = {0};
    g_autoptr(GError) error = NULL;
    g_assert_true(session_config_parse(&config,
                                       "# a remark\n[session]\nwidth=1920\nheight=1080\nfps=60\n"
                                       "bitrate=6000\ncommand=weston-terminal --shell '/bin/a b'\n"
                                       "background=/usr/share/a.png\nencoder=guest\nviewers=3\n",
                                       &error));
    g_assert_no_error(error);
    g_assert_cmpint(config.width, ==, 1920);
    g_assert_cmpint(config.height, ==, 1080);
    g_assert_cmpint(config.fps, ==, 60);
    g_assert_cmpint(config.bitrate, ==, 6000);
    g_assert_cmpint(g_strv_length(config.command), ==, 3);
    g_assert_cmpstr(config.command[2], ==, "/bin/a b");
    g_assert_cmpstr(config.background_image, ==, "/usr/share/a.png");
    g_assert_cmpint(config.encoder, ==, SESSION_ENCODER_GUEST);
    g_assert_cmpint(config.viewers, ==, 3);
}

/* The file that is installed says what is true without it. */
static void test_shipped(void)
{
    g_auto(SessionConfig) config = {0}, plain = {0};
    g_autoptr(GError) error = NULL;
    g_assert_true(session_config_load(&config, "guest-provision/session/desktop.conf", &error));
    g_assert_no_error(error);
    g_assert_true(session_config_parse(&plain, "", NULL));
    g_assert_cmpint(config.width, ==, plain.width);
    g_assert_cmpint(config.height, ==, plain.height);
    g_assert_cmpint(config.fps, ==, plain.fps);
    g_assert_cmpint(config.bitrate, ==, plain.bitrate);
    g_assert_cmpint(config.background_color, ==, plain.background_color);
    g_assert_cmpint(config.encoder, ==, plain.encoder);
    g_assert_cmpint(config.viewers, ==, plain.viewers);
    g_assert_cmpstr(config.command[0], ==, "sh");
    g_assert_nonnull(strstr(config.command[2], "weston-simple-egl"));
    g_assert_true(config.panel);
}

static void test_bad(void)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"[session]\nwidht=1280\n", "unknown key \"widht\": there are width, height"},
        {"[sesion]\n", "unknown group [sesion]"},
        {"width=1280\n", "group"},
        {"[session]\nwidth=12x\n", "width=12x: not a number from 64 to 8192"},
        {"[session]\nwidth=1281\n", "width=1281: not even"},
        {"[session]\nheight=99999\n", "height=99999"},
        {"[session]\nfps=0\n", "fps=0"},
        {"[session]\nviewers=0\n", "viewers=0: not a number from 1 to 64"},
        {"[session]\nbackground=blue\n", "background=blue: neither"},
        {"[session]\nbackground=#12345\n", "background=#12345: neither"},
        {"[session]\nbackground=#12345x\n", "background=#12345x: neither"},
        {"[session]\nbackground=/a\\nmode=1x1\n", "background=/a"},
        {"[session]\ncommand='open\n", "command='open"},
        {"[session]\npanel=top\n", "panel=top: neither true nor false"},
        {"[session]\nencoder=best\n", "encoder=best: not one of auto, host, guest"},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        SessionConfig config;
        g_autoptr(GError) error = NULL;
        g_assert_false(session_config_parse(&config, cases[i].text, &error));
        g_assert_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA);
        g_test_message("%s", error->message);
        g_assert_nonnull(strstr(error->message, cases[i].says));
        g_assert_null(config.command);
        g_assert_null(config.background_image);
    }
}

static void test_names(void)
{
    g_assert_true(session_name_is_valid("desktop"));
    g_assert_true(session_name_is_valid("a-b_c.1"));
    g_assert_false(session_name_is_valid(""));
    g_assert_false(session_name_is_valid("../x"));
    g_assert_false(session_name_is_valid(".x"));
    g_assert_false(session_name_is_valid("a b"));
    g_assert_false(session_name_is_valid("a%i"));
}

static void test_weston_ini(void)
{
    g_auto(SessionConfig) config = {0};
    g_assert_true(session_config_parse(
        &config, "[session]\nwidth=800\nheight=600\nbackground=#00ff07\n", NULL));
    g_autofree char *ini = session_weston_ini(&config);
    g_assert_nonnull(strstr(ini, "\nbackground-color=0xff00ff07\n"));
    g_assert_nonnull(strstr(ini, "\n[output]\nname=pipewire\nmode=800x600\n"));
    g_assert_nonnull(strstr(ini, "\nidle-time=0\n"));
    g_assert_null(strstr(ini, "background-image"));
    g_assert_nonnull(strstr(ini, "\npanel-position=none\n"));
    config.panel = TRUE;
    g_autofree char *with_panel = session_weston_ini(&config);
    g_assert_nonnull(strstr(with_panel, "\npanel-position=top\n"));
}

static void test_ports(void)
{
    static const struct {
        const char *line;
        gboolean valid, present;
        const char *port;
    } cases[] = {
        {"=   16 weston.pipewire:output_1", TRUE, TRUE, "weston.pipewire:output_1"},
        {"+   16 weston.pipewire:output_1", TRUE, TRUE, "weston.pipewire:output_1"},
        {"-  119 a b:input_1", TRUE, FALSE, "a b:input_1"},
        {"", FALSE, FALSE, NULL},
        {"+", FALSE, FALSE, NULL},
        {"+   ", FALSE, FALSE, NULL},
        {"+ 12", FALSE, FALSE, NULL},
        {"+ 12 ", FALSE, FALSE, NULL},
        {"+ x y", FALSE, FALSE, NULL},
        {"  16   |-> weston.pipewire:output_1", FALSE, FALSE, NULL},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        gboolean present;
        const char *port;
        g_assert_cmpint(session_linker_parse(cases[i].line, &present, &port), ==, cases[i].valid);
        if (!cases[i].valid)
            continue;
        g_assert_cmpint(present, ==, cases[i].present);
        g_assert_cmpstr(port, ==, cases[i].port);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/config/defaults", test_defaults);
    g_test_add_func("/config/all", test_all);
    g_test_add_func("/config/shipped", test_shipped);
    g_test_add_func("/config/bad", test_bad);
    g_test_add_func("/config/names", test_names);
    g_test_add_func("/desktop/weston-ini", test_weston_ini);
    g_test_add_func("/link/ports", test_ports);
    return g_test_run();
}
