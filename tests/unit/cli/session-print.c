/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/session-print.h"

#include "launcher/base/json.h"

static char *words[] = {(char *)"sh", (char *)"-c", (char *)"true", NULL};

static const HxGuestSession running = {
    .name = (char *)"desktop",
    .state = "running",
    .port = 1234,
    .enabled = TRUE,
    .config = {.width = 1280, .height = 720, .fps = 30, .command = words}};
static const HxGuestSession failed = {.name = (char *)"a-longer-name",
                                      .state = "failed",
                                      .restarts = 2,
                                      .reason = (char *)"weston exited\033[2J with status 1",
                                      .config = {.width = 640, .height = 480, .fps = 10}};
static const HxGuestSession broken = {
    .name = (char *)"broken", .state = "stopped", .mistake = (char *)"width=1: not a number"};

static JsonObject *told_object(void)
{
    return hx_json_parse_object("{\"source\":\"resource\",\"encoder\":\"vsockenc\",\"viewers\":3}",
                                -1);
}

static void test_table(void)
{
    g_autoptr(JsonObject) told = told_object();
    const HxSessionRow rows[] = {{&running, told}, {&failed, NULL}, {&broken, NULL}};
    g_autofree char *text = hx_session_print_table(rows, G_N_ELEMENTS(rows));
    g_assert_cmpstr(
        text, ==,
        "NAME           STATE    SIZE      FPS  BOOT  SOURCE    VIEWERS  REASON\n"
        "desktop        running  1280x720  30   yes   resource  3\n"
        "a-longer-name  failed   640x480   10   no    -         -        "
        "weston exited?[2J with status 1\n"
        "broken         stopped  -         -    no    -         -        width=1: not a number\n");
}

static JsonObject *object_of(const HxSessionRow *row)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();
    hx_session_print_build(row, builder);
    g_autofree char *text = hx_json_text(builder, FALSE);
    return hx_json_parse_object(text, -1);
}

static void test_json(void)
{
    g_autoptr(JsonObject) told = told_object();
    g_autoptr(JsonObject) one = object_of(&(HxSessionRow){&running, told});
    g_assert_cmpstr(hx_json_string(one, "name"), ==, "desktop");
    g_assert_cmpstr(hx_json_string(one, "state"), ==, "running");
    g_assert_true(json_object_get_null_member(one, "reason"));
    g_assert_true(json_object_get_boolean_member(one, "enabled"));
    g_assert_cmpint(hx_json_integer(one, "width"), ==, 1280);
    g_assert_cmpint(hx_json_integer(one, "height"), ==, 720);
    g_assert_cmpint(hx_json_integer(one, "fps"), ==, 30);
    g_assert_cmpint(hx_json_integer(one, "port"), ==, 1234);
    g_assert_cmpint(hx_json_integer(one, "viewers"), ==, 3);
    g_assert_cmpstr(hx_json_string(one, "source"), ==, "resource");
    g_assert_cmpstr(hx_json_string(one, "encoder"), ==, "vsockenc");
    JsonArray *command = hx_json_array(one, "command");
    g_assert_cmpuint(json_array_get_length(command), ==, 3);
    g_assert_cmpstr(json_array_get_string_element(command, 2), ==, "true");

    g_autoptr(JsonObject) two = object_of(&(HxSessionRow){&failed, NULL});
    g_assert_cmpint(hx_json_integer(two, "restarts"), ==, 2);
    g_assert_true(json_object_get_null_member(two, "port"));
    g_assert_true(json_object_get_null_member(two, "viewers"));
    g_assert_cmpuint(json_array_get_length(hx_json_array(two, "command")), ==, 0);

    g_autoptr(JsonObject) three = object_of(&(HxSessionRow){&broken, NULL});
    g_assert_true(json_object_get_null_member(three, "width"));
    g_assert_cmpstr(hx_json_string(three, "reason"), ==, "width=1: not a number");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/session-print/table", test_table);
    g_test_add_func("/session-print/json", test_json);
    return g_test_run();
}
