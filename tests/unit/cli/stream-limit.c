/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Figures of a stream in, what limits it out; and the figures, from what session and encoder tell.
 */
#include "cli/stream-limit.h"

#include <string.h>

#include "cli/stream-measure.h"
#include "launcher/base/error.h"
#include "launcher/base/json.h"

/* 30 frames a second come, and nothing is near its limit. */
static const HxStreamFigures good = {.wanted = 30,
                                     .drawn = 30,
                                     .passed = 30,
                                     .taken = 30,
                                     .encoded = 30,
                                     .received = 30,
                                     .answer_ms = 6,
                                     .read_ms = 1,
                                     .encode_ms = 4,
                                     .viewer_busy = 0.06};

static void expect(const HxStreamFigures *figures, gboolean reached, HxStreamStage stage,
                   const char *pattern)
{
    HxStreamLimit limit = hx_stream_limit_find(figures);
    g_autofree char *sentence = hx_stream_limit_sentence(figures, &limit);
    g_assert_cmpint(limit.reached, ==, reached);
    g_assert_cmpstr(hx_stream_stage_name(limit.stage), ==, hx_stream_stage_name(stage));
    g_assert_true(g_regex_match_simple(pattern, sentence, 0, 0));
}

static void test_reached(void)
{
    expect(&good, TRUE, HX_STREAM_STAGE_ENCODE, "^encode takes longest, 4.0 ms of a frame's 33.3$");
    HxStreamFigures figures = good;
    figures.received = 28.5;
    expect(&figures, TRUE, HX_STREAM_STAGE_ENCODE, "^encode");
    figures.received = 28.4;
    expect(&figures, FALSE, HX_STREAM_STAGE_TRANSPORT, "28.4 of 30.0 frames a second reach");
}

static void test_render(void)
{
    HxStreamFigures figures = good;
    figures.drawn = figures.passed = figures.taken = figures.encoded = figures.received = 17;
    expect(&figures, FALSE, HX_STREAM_STAGE_RENDER, "^guest render limits: .* draws 17.0 frames");
    /* Nothing is drawn at all, and a picture that stays is given again. */
    figures.drawn = 0;
    figures.passed = figures.taken = 2;
    figures.encoded = figures.received = 0;
    expect(&figures, FALSE, HX_STREAM_STAGE_RENDER, "draws 0.0 frames");
    /* What is drawn does not change the picture. */
    figures = good;
    figures.encoded = figures.received = 3;
    expect(&figures, FALSE, HX_STREAM_STAGE_RENDER, "of 30.0 pictures a second 3.0 differ");
    /* The encoder is asked for few frames: the guest takes its time in between. */
    figures = good;
    figures.taken = figures.encoded = figures.received = 10;
    expect(&figures, FALSE, HX_STREAM_STAGE_RENDER, "lets 94.0 ms pass");
}

/* A busy encoder slows the guest on the same host: who loses most limits. */
static void test_most(void)
{
    HxStreamFigures figures = good;
    figures.drawn = figures.passed = 20;
    figures.taken = figures.encoded = figures.received = 6;
    figures.answer_ms = 160;
    figures.encode_ms = 150;
    expect(&figures, FALSE, HX_STREAM_STAGE_ENCODE,
           "^encode limits: it takes 150.0 ms of a frame, and 6.0 of 20.0 frames");
}

static void test_answer(void)
{
    HxStreamFigures figures = good;
    figures.taken = figures.encoded = figures.received = 12;
    figures.answer_ms = 80;
    figures.read_ms = 60;
    figures.encode_ms = 15;
    expect(&figures, FALSE, HX_STREAM_STAGE_READ, "^read-back limits: it takes 60.0 ms");
    figures.read_ms = 1;
    expect(&figures, FALSE, HX_STREAM_STAGE_TRANSPORT, "^transport limits: it takes 64.0 ms");
    figures.host_busy = 0.97;
    expect(&figures, FALSE, HX_STREAM_STAGE_TRANSPORT, "host's CPUs were busy for 97 % of the");
    figures.host_busy = 0.5;
    /* Two are under way, and each waits for the other to be read. */
    HxStreamFigures two = figures;
    two.taken = two.encoded = two.received = 3.3;
    two.answer_ms = 604;
    two.read_ms = 300;
    two.encode_ms = 4;
    expect(&two, FALSE, HX_STREAM_STAGE_READ, "^read-back limits: it takes 300.0 ms");
    two.read_ms = 4;
    expect(&two, FALSE, HX_STREAM_STAGE_TRANSPORT, "^transport limits: it takes 592.0 ms");
    /* The guest encodes: nothing of it is the host's. */
    figures.by_guest = TRUE;
    figures.read_ms = figures.encode_ms = -1;
    expect(&figures, FALSE, HX_STREAM_STAGE_ENCODE, "^encode limits: it takes 83.3 ms");
}

static void test_viewer(void)
{
    HxStreamFigures figures = good;
    figures.received = 12;
    figures.viewer_busy = 0.9;
    expect(&figures, FALSE, HX_STREAM_STAGE_VIEWER, "receives 12.0 of 30.0 .* busy for 90 %");
    figures.viewer_busy = 0.1;
    expect(&figures, FALSE, HX_STREAM_STAGE_TRANSPORT, "12.0 of 30.0 frames a second reach");
}

static void test_unknown(void)
{
    HxStreamFigures figures = good;
    figures.answer_ms = figures.read_ms = figures.encode_ms = -1;
    expect(&figures, TRUE, HX_STREAM_STAGE_VIEWER, "^viewer takes longest, 2.0 ms");
    figures.received = 0;
    HxStreamLimit limit = hx_stream_limit_find(&figures);
    g_autofree char *table = hx_stream_limit_table(&figures, &limit);
    g_assert_true(g_regex_match_simple("^read-back +30.0 +-$", table, G_REGEX_MULTILINE, 0));
    g_assert_true(g_regex_match_simple("^verdict +0.0 of 30 fps, not reached: transport limits",
                                       table, G_REGEX_MULTILINE, 0));
}

static void test_json(void)
{
    HxStreamFigures figures = good;
    figures.received = 15;
    figures.read_ms = -1;
    HxStreamLimit limit = hx_stream_limit_find(&figures);
    g_autoptr(JsonBuilder) builder = json_builder_new();
    json_builder_begin_object(builder);
    hx_stream_limit_build(&figures, &limit, builder);
    json_builder_end_object(builder);
    g_autofree char *text = hx_json_text(builder, FALSE);
    g_assert_true(
        g_str_has_prefix(text, "{\"benchmark\":{\"wanted_fps\":30.0,\"fps\":15.0,\"reached\":false,"
                               "\"limit\":\"transport\",\"verdict\":\"transport limits: "));
    g_assert_nonnull(strstr(text, "\"read_back\":{\"fps\":30.0,\"ms\":null}"));
}

/* --- from what is told ---------------------------------------------------------------------------
 */

static JsonObject *session(int clock_s, int drawn, int frames, int bytes)
{
    g_autofree char *text = g_strdup_printf(
        "{\"width\":640,\"height\":480,\"source\":\"resource\",\"clock_us\":%d000000,"
        "\"frames_drawn\":%d,\"frames_passed\":%d,\"frames_taken\":%d,\"frames\":%d,\"bytes\":%d,"
        "\"latency_ms\":{\"p50\":7.5}}",
        clock_s, drawn, frames + 20, frames + 10, frames, bytes);
    return hx_json_parse_object(text, -1);
}

/* Of three sessions; the second is ours. */
static JsonObject *encoder(int bytes)
{
    static const char stages[] = "\"stage_ms\":{\"read\":{\"p50\":%d.5},\"convert\":{\"p50\":1.0},"
                                 "\"queue\":{\"p50\":0.25},\"encode\":{\"p50\":3.0}}";
    g_autoptr(GString) text = g_string_new("{\"sessions\":[");
    const int sizes[] = {640, 640, 320}, all[] = {bytes / 2 + 100, bytes + 9000, bytes};
    for (int i = 0; i < 3; i++) {
        g_string_append_printf(text,
                               "%s{\"connection\":\"unix %d\",\"session_id\":0,\"width\":%d,"
                               "\"height\":480,\"bytes\":%d,",
                               i ? "," : "", i, sizes[i], all[i]);
        g_string_append_printf(text, stages, i);
        g_string_append(text, "}");
    }
    g_string_append(text, "]}");
    return hx_json_parse_object(text->str, -1);
}

static void test_measure(void)
{
    g_autoptr(GError) error = NULL;
    HxStreamFigures figures;
    g_auto(HxStreamMoment) begin = {.session = session(100, 1000, 500, 10000),
                                    .encoder = encoder(10000),
                                    .time = 5000000,
                                    .received = 3,
                                    .waited = 1000000,
                                    .host = {.idle = 100, .all = 1000}};
    g_auto(HxStreamMoment) end = {.session = session(110, 1300, 740, 50000),
                                  .encoder = encoder(50000),
                                  .time = 13000000,
                                  .received = 203,
                                  .waited = 7000000,
                                  .host = {.idle = 200, .all = 2000}};
    g_assert_true(hx_stream_measure(&begin, &end, 30, &figures, &error));
    g_assert_no_error(error);
    g_assert_cmpfloat(figures.drawn, ==, 30);
    g_assert_cmpfloat(figures.passed, ==, 24);
    g_assert_cmpfloat(figures.taken, ==, 24);
    g_assert_cmpfloat(figures.encoded, ==, 24);
    g_assert_cmpfloat(figures.received, ==, 25);
    g_assert_cmpfloat(figures.viewer_busy, ==, 0.25);
    g_assert_cmpfloat(figures.host_busy, ==, 0.9);
    g_assert_cmpfloat(figures.answer_ms, ==, 7.5);
    g_assert_cmpfloat(figures.read_ms, ==, 1.5);
    g_assert_cmpfloat(figures.encode_ms, ==, 4.25);
    g_assert_false(figures.by_guest);

    /* Counters that began anew; an encoder that does not answer. */
    json_object_unref(end.encoder);
    end.encoder = NULL;
    json_object_set_int_member(end.session, "frames", 40);
    g_assert_true(hx_stream_measure(&begin, &end, 30, &figures, &error));
    g_assert_cmpfloat(figures.encoded, ==, 4);
    g_assert_cmpfloat(figures.encode_ms, <, 0);

    /* What a guest may tell. */
    json_object_set_string_member(end.session, "latency_ms", "soon");
    json_object_set_string_member(end.session, "frames_drawn", "many");
    g_assert_true(hx_stream_measure(&begin, &end, 30, &figures, &error));
    g_assert_cmpfloat(figures.answer_ms, <, 0);
    json_object_set_int_member(end.session, "clock_us", 1);
    g_assert_false(hx_stream_measure(&begin, &end, 30, &figures, &error));
    g_assert_error(error, HX_ERROR, HX_ERROR_GUEST);
    g_clear_error(&error);
    json_object_unref(end.session);
    end.session = NULL;
    g_assert_false(hx_stream_measure(&begin, &end, 30, &figures, &error));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/stream-limit/reached", test_reached);
    g_test_add_func("/stream-limit/render", test_render);
    g_test_add_func("/stream-limit/most", test_most);
    g_test_add_func("/stream-limit/answer", test_answer);
    g_test_add_func("/stream-limit/viewer", test_viewer);
    g_test_add_func("/stream-limit/unknown", test_unknown);
    g_test_add_func("/stream-limit/json", test_json);
    g_test_add_func("/stream-limit/measure", test_measure);
    return g_test_run();
}
