/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is said of a stream, and how it is shown on a terminal and elsewhere. */
#include "cli/stream-report.h"

#include <stdlib.h>
#include <string.h>

#include "cli/stream-live.h"
#include "launcher/base/json.h"
#include "tests/fakes/cli-stderr.h"

#define SECOND G_USEC_PER_SEC
#define START (1000 * (gint64)SECOND)

typedef struct {
    HxStreamStatistics statistics;
    HxStreamSources sources;
    HxH264Sps sps;
    JsonObject *told;
    HxStreamReport report;
} Fixture;

/* 20 frames a second for 2 s, but that the last came 120 ms late. */
static void set_up(Fixture *fixture, const void *data)
{
    HxStreamStatistics *s = &fixture->statistics;
    hx_stream_statistics_init(s);
    for (int i = 0; i < 39; i++)
        hx_stream_statistics_frame(s, START + i * SECOND / 20, 1280, 720, i ? 1000 : 9000, i == 0,
                                   FALSE);
    hx_stream_statistics_frame(s, START + 38 * SECOND / 20 + 120000, 1280, 720, 500, FALSE, FALSE);
    hx_stream_statistics_pong(s, 2500, 0);
    fixture->told = hx_json_parse_object(
        "{\"source\":\"re\\u001bsource\",\"encoder\":\"vsockenc\",\"latency_ms\":{\"p50\":8.25,"
        "\"p95\":9,\"p99\":10.5,\"max\":11}}",
        -1);
    g_assert_nonnull(fixture->told);
    hx_stream_sources_init(&fixture->sources);
    gint64 now = START + 2 * SECOND + 100000;
    fixture->sps = (HxH264Sps){.profile_idc = 100, .level_idc = 31, .width = 1264, .height = 720};
    fixture->report = (HxStreamReport){.session = "desktop",
                                       .statistics = s,
                                       .sources = &fixture->sources,
                                       .sps = &fixture->sps,
                                       .told = fixture->told,
                                       .now = now,
                                       .sample = {.fps = 19.5, .bitrate = 160000}};
}

static void tear_down(Fixture *fixture, const void *data)
{
    hx_stream_statistics_clear(&fixture->statistics);
    hx_stream_sources_clear(&fixture->sources);
    json_object_unref(fixture->told);
}

static void test_line(Fixture *fixture, const void *data)
{
    g_autofree char *whole = hx_stream_report_line(&fixture->report, G_MAXUINT);
    g_assert_cmpstr(whole, ==,
                    "2.1 s  19.5 fps (19.0 average)  40 frames (1 key)  "
                    "0.16 Mbit/s (0.18 average)  gaps 2 over 50, 1 over 100, 0 over 200 ms  "
                    "round trip 2.5 ms  encode 8.2 ms  from re?source  frame 1.2 kB (0.5 to 9.0)  "
                    "1264x720 H.264 High@3.1");
    /* It is the whole one's begin where that ends with a figure; never wider. */
    for (guint width = 0; width <= strlen(whole); width++) {
        g_autofree char *line = hx_stream_report_line(&fixture->report, width);
        g_assert_cmpuint(strlen(line), <=, width);
        if (width == strlen("2.1 s  19.5 fps (19.0 average)"))
            g_assert_cmpstr(line, ==, "2.1 s  19.5 fps (19.0 average)");
    }
    g_auto(HxStreamStatistics) none;
    hx_stream_statistics_init(&none);
    HxStreamReport early = {.session = "desktop", .statistics = &none, .now = START};
    g_autofree char *line = hx_stream_report_line(&early, 8);
    g_assert_cmpstr(line, ==, "no frame");
}

/* For people it takes lines, for programs one. */
static JsonObject *parse(const HxStreamReport *report, HxStreamJson form)
{
    g_autofree char *text = hx_stream_report_json(report, form);
    g_assert_cmpint(form == HX_STREAM_JSON_RESULT, ==, strchr(text, '\n') != NULL);
    JsonObject *object = hx_json_parse_object(text, -1);
    g_assert_nonnull(object);
    return object;
}

static void test_json(Fixture *fixture, const void *data)
{
    g_autoptr(JsonObject) live = parse(&fixture->report, HX_STREAM_JSON_STATISTICS_LINE);
    g_assert_cmpstr(hx_json_string(live, "type"), ==, "statistics");
    g_assert_cmpstr(hx_json_string(live, "source"), ==, "re?source");
    g_assert_cmpint(hx_json_integer(live, "frames"), ==, 40);
    g_assert_cmpint(hx_json_integer(live, "keyframes"), ==, 1);
    g_assert_cmpfloat(json_object_get_double_member(live, "fps"), ==, 19.048);
    g_assert_cmpfloat(json_object_get_double_member(live, "fps_now"), ==, 19.5);
    g_assert_cmpint(hx_json_integer(live, "bitrate_now_bps"), ==, 160000);
    JsonObject *sizes = hx_json_object(live, "frame_bytes");
    g_assert_cmpint(hx_json_integer(sizes, "mean"), ==, 1188);
    g_assert_cmpint(hx_json_integer(sizes, "min"), ==, 500);
    g_assert_cmpint(hx_json_integer(sizes, "max"), ==, 9000);
    JsonObject *gaps = hx_json_object(live, "gaps");
    g_assert_cmpint(hx_json_integer(gaps, "over_50_ms"), ==, 2);
    g_assert_cmpint(hx_json_integer(gaps, "over_100_ms"), ==, 1);
    g_assert_cmpint(hx_json_integer(gaps, "over_200_ms"), ==, 0);
    g_assert_cmpfloat(json_object_get_double_member(gaps, "longest_ms"), ==, 120);
    JsonObject *latency = hx_json_object(live, "latency_ms");
    g_assert_cmpfloat(json_object_get_double_member(latency, "p99"), ==, 10.5);
    g_assert_cmpfloat(json_object_get_double_member(live, "round_trip_ms"), ==, 2.5);

    JsonObject *sps = hx_json_object(live, "sps");
    g_assert_cmpint(hx_json_integer(live, "width"), ==, 1280);
    g_assert_cmpint(hx_json_integer(sps, "width"), ==, 1264);
    g_assert_cmpstr(hx_json_string(sps, "profile"), ==, "High");
    g_assert_cmpstr(hx_json_string(sps, "level"), ==, "3.1");

    fixture->report.told = NULL;
    fixture->report.sps = NULL;
    g_autoptr(JsonObject) result = parse(&fixture->report, HX_STREAM_JSON_RESULT);
    g_assert_false(json_object_has_member(result, "type"));
    g_assert_false(json_object_has_member(result, "fps_now"));
    g_assert_true(json_object_get_null_member(result, "source"));
    g_assert_true(json_object_get_null_member(result, "sps"));
    latency = hx_json_object(result, "latency_ms");
    g_assert_true(json_object_get_null_member(latency, "p50"));
    hx_stream_statistics_pong(&fixture->statistics, 2500, 14);
    g_autoptr(JsonObject) line = parse(&fixture->report, HX_STREAM_JSON_RESULT_LINE);
    g_assert_cmpstr(hx_json_string(line, "type"), ==, "result");
    g_assert_false(json_object_has_member(line, "fps_now"));
    latency = hx_json_object(line, "latency_ms");
    g_assert_cmpfloat(json_object_get_double_member(latency, "p95"), ==, 14);
}

/* A guest's word: what no JSON and no line can hold is no latency. */
static void test_nonsense(Fixture *fixture, const void *data)
{
    g_autoptr(JsonObject) told = hx_json_parse_object(
        "{\"source\":7,\"encoder\":[],\"latency_ms\":{\"p50\":1e300,\"p95\":1e999,"
        "\"p99\":-1e300,\"max\":{}}}",
        -1);
    g_assert_nonnull(told);
    fixture->report.told = told;
    g_autoptr(JsonObject) result = parse(&fixture->report, HX_STREAM_JSON_RESULT);
    static const char *const latencies[] = {"p50", "p95", "p99", "max"};
    for (size_t i = 0; i < G_N_ELEMENTS(latencies); i++)
        g_assert_true(
            json_object_get_null_member(hx_json_object(result, "latency_ms"), latencies[i]));
    g_assert_true(json_object_get_null_member(result, "source"));
    g_assert_true(json_object_get_null_member(result, "encoder"));
    g_autofree char *text = hx_stream_report_text(&fixture->report);
    g_assert_nonnull(strstr(text, "encode latency  p50 unknown, p95 unknown, p99 unknown, max "
                                  "unknown\n"));
    g_autofree char *line = hx_stream_report_line(&fixture->report, G_MAXUINT);
    g_assert_null(strstr(line, "encode"));
}

static void test_text(Fixture *fixture, const void *data)
{
    g_autofree char *text = hx_stream_report_text(&fixture->report);
    g_assert_cmpstr(text, ==,
                    "session         desktop\n"
                    "source          re?source, encoder vsockenc\n"
                    "picture         1264x720 H.264 High@3.1\n"
                    "video frames    40 (1 key) in 2.1 s\n"
                    "frame rate      19.0 fps\n"
                    "gaps            2 over 50, 1 over 100, 0 over 200 ms, longest 120 ms\n"
                    "data            0.05 MB, 0.18 Mbit/s\n"
                    "frame size      1.2 kB (0.5 to 9.0)\n"
                    "encode latency  p50 8.2 ms, p95 9.0 ms, p99 10.5 ms, max 11.0 ms\n"
                    "round trip      2.5 ms\n");
    hx_stream_statistics_frame(&fixture->statistics, fixture->report.now, 1280, 720, 1, FALSE,
                               TRUE);
    g_autofree char *replayed = hx_stream_report_text(&fixture->report);
    g_assert_nonnull(strstr(replayed, "video frames    41 (1 key, 1 replayed) in 2.1 s\n"));
    g_assert_nonnull(strstr(replayed, "frame rate      19.0 fps\n"));
    g_autoptr(JsonObject) result = parse(&fixture->report, HX_STREAM_JSON_RESULT);
    g_assert_cmpint(hx_json_integer(result, "frames"), ==, 41);
    g_assert_cmpint(hx_json_integer(result, "replayed"), ==, 1);
}

static void tell(Fixture *fixture, const char *source, const char *encoder, const char *reason,
                 gint64 at)
{
    const HxStreamSource told = {
        .source = (char *)source, .encoder = (char *)encoder, .reason = (char *)reason};
    hx_stream_sources_add(&fixture->sources, &told, START + at);
}

/* What the session says when it changes is newer than its statistics. */
static void test_changes(Fixture *fixture, const void *data)
{
    tell(fixture, "pixels", "vsockenc", NULL, -5);
    tell(fixture, "guest", "x264enc", "it\033 hung", SECOND);
    tell(fixture, "resource", "vsockenc", NULL, 2 * SECOND);
    g_autofree char *text = hx_stream_report_text(&fixture->report);
    g_assert_nonnull(strstr(text, "source          resource, encoder vsockenc\n"
                                  "source changed  at 1.0 s to guest, encoder x264enc: it? hung\n"
                                  "                at 2.0 s to resource, encoder vsockenc\n"
                                  "picture "));
    g_autofree char *line = hx_stream_report_line(&fixture->report, G_MAXUINT);
    g_assert_nonnull(strstr(line, "  from resource  "));
    g_autoptr(JsonObject) result = parse(&fixture->report, HX_STREAM_JSON_RESULT);
    g_assert_cmpstr(hx_json_string(result, "source"), ==, "resource");
    JsonArray *changes = hx_json_array(result, "source_changes");
    g_assert_cmpuint(json_array_get_length(changes), ==, 2);
    JsonObject *fall = json_array_get_object_element(changes, 0);
    g_assert_cmpfloat(json_object_get_double_member(fall, "at_s"), ==, 1);
    g_assert_cmpstr(hx_json_string(fall, "source"), ==, "guest");
    g_assert_cmpstr(hx_json_string(fall, "encoder"), ==, "x264enc");
    g_assert_cmpstr(hx_json_string(fall, "reason"), ==, "it? hung");
    JsonObject *climb = json_array_get_object_element(changes, 1);
    g_assert_true(json_object_get_null_member(climb, "reason"));
    g_autofree char *change = hx_stream_report_change_json(&fixture->report, 1);
    g_assert_cmpstr(change, ==,
                    "{\"type\":\"source\",\"at_s\":2.0,\"source\":\"resource\","
                    "\"encoder\":\"vsockenc\",\"reason\":null}");
}

/* --- how it is shown ----------------------------------------------------------------------------
 */

static void show_change(void *data)
{
    Fixture *fixture = data;
    HxStreamLive live = {};
    hx_stream_live_show(&live, &fixture->report);
    hx_stream_live_show_change(&live, &fixture->report, 0);
    hx_stream_live_show(&live, &fixture->report);
    hx_stream_live_end(&live);
}

/* Two reports and the end. */
static void show(void *data)
{
    Fixture *fixture = data;
    HxStreamLive live = {};
    hx_stream_live_show(&live, &fixture->report);
    hx_stream_live_show(&live, &fixture->report);
    hx_stream_live_end(&live);
    hx_stream_live_end(&live);
}

static char *shown_on_terminal(Fixture *fixture, const char *type)
{
    g_setenv("TERM", type, TRUE);
    return test_stderr_of(51, show, fixture);
}

static void test_terminal(Fixture *fixture, const void *data)
{
    g_autofree char *text = shown_on_terminal(fixture, "xterm");
    g_assert_cmpstr(text, ==,
                    "\r\033[K2.1 s  19.5 fps (19.0 average)  40 frames (1 key)"
                    "\r\033[K2.1 s  19.5 fps (19.0 average)  40 frames (1 key)"
                    "\r\033[K");
    g_autofree char *dumb = shown_on_terminal(fixture, "dumb");
    g_assert_cmpuint(strlen(dumb), >, 0);
    g_assert_null(strchr(dumb, '\033'));
}

/* A change has a line of its own, above the one that is kept. */
static void test_change_on_terminal(Fixture *fixture, const void *data)
{
    tell(fixture, "resource", "vsockenc", NULL, 0);
    tell(fixture, "guest", "x264enc", "it hung", SECOND);
    g_setenv("TERM", "xterm", TRUE);
    g_autofree char *text = test_stderr_of(51, show_change, fixture);
    g_assert_cmpstr(text, ==,
                    "\r\033[K2.1 s  19.5 fps (19.0 average)  40 frames (1 key)"
                    "\r\033[Ksource changed at 1.0 s to guest, encoder x264enc: it hung\r\n"
                    "\r\033[K2.1 s  19.5 fps (19.0 average)  40 frames (1 key)"
                    "\r\033[K");
}

static void test_elsewhere(Fixture *fixture, const void *data)
{
    g_autofree char *text = test_stderr_of(0, show, fixture);
    g_autofree char *line = hx_stream_report_line(&fixture->report, G_MAXUINT);
    g_autofree char *lines = g_strdup_printf("%s\n%s\n", line, line);
    g_assert_cmpstr(text, ==, lines);
}

#define ADD(name, test) g_test_add("/stream-report/" name, Fixture, NULL, set_up, test, tear_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("line", test_line);
    ADD("json", test_json);
    ADD("nonsense", test_nonsense);
    ADD("text", test_text);
    ADD("changes", test_changes);
    ADD("change-on-terminal", test_change_on_terminal);
    ADD("terminal", test_terminal);
    ADD("elsewhere", test_elsewhere);
    return g_test_run();
}
