/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A VM's status as text: what is missing, and what a guest may say. */
#include "cli/status-text.h"

#include <string.h>

#include "launcher/base/json.h"

static JsonObject *parse(const char *text)
{
    JsonObject *object = hx_json_parse_object(text, -1);
    g_assert_nonnull(object);
    return object;
}

static const char running[] =
    "{\"name\":\"a\",\"state\":\"running\",\"phase\":null,\"uptime_s\":61.4,\"domain\":\"helixvm-"
    "a\","
    "\"accelerator\":\"tcg\",\"accelerators_left\":[\"kvm: no\"],\"display\":\"xvfb\","
    "\"vsock\":{\"kind\":\"vhost-user\",\"cid\":3,\"reason\":null},"
    "\"guest\":{\"ready\":true,\"says\":\"up\\u001b[31m\\u009b2J\"},"
    "\"processes\":{\"helixvm-encoder\":{\"pid\":7,\"restarts\":2}},"
    "\"machine\":{\"cpus\":2,\"memory_mib\":2048},"
    "\"disk\":{\"image\":\"default\",\"size_gib\":20,\"used_bytes\":1048576},"
    "\"encoder\":{\"module\":{\"connected\":true},\"sessions\":[{\"session_id\":1,\"width\":1280,"
    "\"height\":720,\"frames\":10,\"source\":\"resource\",\"fps\":29.96,"
    "\"bits_per_second\":2345678,\"encoder\":\"null\",\"encoder_reason\":\"x264 is tired\","
    "\"keyframes\":2,\"unchanged\":31,\"dropped\":4,\"errors\":5,\"bitrate\":8000000,"
    "\"stage_ms\":{\"encode\":{\"p50\":6.56,\"p99\":9.12},\"send\":{\"p50\":0.04,\"p99\":0.1},"
    "\"read\":{\"p50\":1.25,\"p99\":2}}}]},"
    "\"provisioned\":{\"gl_renderer\":\"virgl\\n\\u0007x\",\"vulkan_renderer\":null}}";

static void test_running(void)
{
    g_autoptr(JsonObject) status = parse(running);
    g_autofree char *text = hx_status_text(status);
    g_assert_true(g_str_has_prefix(text, "a: running\n"));
    g_assert_nonnull(strstr(text, "  up for       61 s\n"));
    g_assert_nonnull(strstr(text, "  machine      2 CPUs, 2048 MiB\n"));
    g_assert_nonnull(strstr(text,
                            "session 1: 1280x720, 10 frames from resource, 30.0 fps, 2.35 Mbit/s, "
                            "by null: x264 is tired\n"));
    g_assert_nonnull(
        strstr(text, "  ms (p99): read 1.2 (2.0), encode 6.6 (9.1), send 0.0 (0.1)\n"));
    g_assert_nonnull(
        strstr(text, "  2 keyframes, 31 unchanged, 4 dropped, 5 errors; 8000 kbit/s at most\n"));
    g_assert_nonnull(strstr(text, "running, restarted 2 times\n"));
    g_assert_nonnull(strstr(text, "  Vulkan       none\n"));
}

static void test_hostile_guest(void)
{
    g_autoptr(JsonObject) status = parse(running);
    g_autofree char *text = hx_status_text(status);
    g_assert_null(strchr(text, '\033'));
    g_assert_null(strchr(text, '\a'));
    g_assert_null(strstr(text, "\302\233")); /* C1's CSI */
    g_assert_nonnull(strstr(text, "READY: up?[31m?2J\n"));
    g_assert_nonnull(strstr(text, "  OpenGL       virgl??x\n"));
}

static void test_line(void)
{
    static const struct {
        const char *status, *line;
    } cases[] = {
        {running, "running: session 1: 1280x720 from resource"},
        {"{\"name\":\"a\",\"state\":\"running\",\"guest\":{\"says\":\"x\"}}",
         "running: no session"},
        {"{\"name\":\"a\",\"state\":\"starting\",\"phase\":\"boot\",\"guest\":{\"says\":"
         "\"s\\u001b\"}}",
         "starting: boot: s?"},
        {"{\"name\":\"a\",\"state\":\"stopped\",\"last_run\":{\"reason\":\"QEMU failed\"}}",
         "stopped: QEMU failed"},
        {"{\"name\":\"a\",\"state\":\"stopped\",\"last_run\":null}", "stopped"},
        {"{\"name\":\"a\",\"state\":\"unknown\",\"reason\":\"no answer\"}", "unknown: no answer"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(JsonObject) status = parse(cases[i].status);
        g_autofree char *line = hx_status_line(status);
        g_assert_cmpstr(line, ==, cases[i].line);
    }
}

static void test_stopped(void)
{
    g_autoptr(JsonObject) status =
        parse("{\"name\":\"a\",\"state\":\"stopped\",\"last_run\":{\"time\":\"T\",\"failed\":true,"
              "\"reason\":\"QEMU failed\"}}");
    g_autofree char *text = hx_status_text(status);
    g_assert_cmpstr(text, ==, "a: stopped\n  last run     failed T: QEMU failed\n");
}

static void test_duration(void)
{
    static const struct {
        double seconds;
        const char *text;
    } cases[] = {
        {0, "0 s"},
        {119.4, "119 s"},
        {120, "2 min"},
        {3599, "59 min"},
        {3600 * 3 + 420, "3 h 07 min"},
        {86400 * 2, "2 d 00 h"},
        {86400 * 5 + 7200, "5 d 02 h"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text = hx_duration_text(cases[i].seconds);
        g_assert_cmpstr(text, ==, cases[i].text);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/status-text/running", test_running);
    g_test_add_func("/status-text/hostile-guest", test_hostile_guest);
    g_test_add_func("/status-text/line", test_line);
    g_test_add_func("/status-text/stopped", test_stopped);
    g_test_add_func("/status-text/duration", test_duration);
    return g_test_run();
}
