/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/stream-view.h"

#include <stdio.h>

#include "cli/stream-diagnosis.h"
#include "cli/stream-live.h"
#include "cli/stream-measure.h"
#include "cli/stream-picture.h"
#include "cli/stream-watch.h"
#include "launcher/base/error.h"

#define STATISTICS_SECONDS 10
#define STATISTICS_INTERVAL_MS 2000
/* What moves has its window by then, and what was queued before is gone. */
#define SETTLING_SECONDS 3

typedef struct {
    const HxStreamGiver *giver;
    const HxStreamWish *wish;
    HxStreamFiles *files;
    HxStreamLive live;
    HxStreamPicture picture;
    HxStreamStatistics statistics; /* of what came */
    HxStreamSources sources;       /* from where, as the session tells */
    HxStreamTold *told_live;       /* the session's own statistics: while it goes on, */
    JsonObject *told;              /* and at the end; NULL: not told */
    gboolean answered, came;       /* by the session; a frame did */
    HxStreamClient *client;        /* NULL: not opened */
    HxStreamMoment begin;          /* of a benchmark */
} View;

static void view_clear(View *view)
{
    hx_stream_picture_clear(&view->picture);
    hx_stream_statistics_clear(&view->statistics);
    hx_stream_sources_clear(&view->sources);
    g_clear_pointer(&view->told_live, hx_stream_told_free);
    g_clear_pointer(&view->told, json_object_unref);
    g_clear_pointer(&view->client, hx_stream_client_free);
    hx_stream_moment_clear(&view->begin);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(View, view_clear)

/* --- while it goes on ---------------------------------------------------------------------------
 */

static void warn(View *view, const char *text)
{
    hx_stream_live_end(&view->live);
    fprintf(stderr, "helixvm: warning: %s\n", text);
}

static gboolean take_frame(const HxStreamFrame *frame, void *data, GError **error)
{
    View *view = data;
    view->came = TRUE;
    const char *warning = hx_stream_picture_look(&view->picture, frame);
    if (warning)
        warn(view, warning);
    return hx_stream_files_add(view->files, frame, error);
}

static HxStreamReport make_report(const View *view, JsonObject *told, gint64 now)
{
    return (HxStreamReport){.session = view->wish->request.session_id,
                            .statistics = &view->statistics,
                            .sources = &view->sources,
                            .sps = view->picture.known ? &view->picture.sps : NULL,
                            .told = told,
                            .now = now};
}

static void show_live(gint64 now, void *data)
{
    View *view = data;
    g_autoptr(JsonObject) told = view->told_live ? hx_stream_told_get(view->told_live) : NULL;
    HxStreamReport report = make_report(view, told, now);
    report.sample = hx_stream_statistics_sample(&view->statistics, now);
    hx_stream_live_show(&view->live, &report);
}

static void note_source(const HxStreamSource *source, void *data)
{
    View *view = data;
    gint64 now = g_get_monotonic_time();
    if (!hx_stream_sources_add(&view->sources, source, now))
        return;
    HxStreamReport report = make_report(view, NULL, now);
    hx_stream_live_show_change(&view->live, &report, hx_stream_sources_changes(&view->sources) - 1);
}

/* A desktop is as large as its session's configuration says. */
static void compare_size(int width, int height, void *data)
{
    View *view = data;
    const HxStreamRequest *asked = &view->wish->request;
    view->answered = TRUE;
    if ((!asked->width || asked->width == width) && (!asked->height || asked->height == height))
        return;
    g_autofree char *text = g_strdup_printf("session \"%s\" stays as large as it is, %dx%d: %s",
                                            asked->session_id, width, height, view->giver->size);
    warn(view, text);
}

/* What the viewer has counted, now. */
static HxStreamMoment moment_now(const View *view)
{
    const HxStreamStatistics *statistics = &view->statistics;
    return (HxStreamMoment){.time = g_get_monotonic_time(),
                            .received = statistics->frames - statistics->replayed,
                            .waited = hx_stream_client_waited(view->client),
                            .host = hx_host_time()};
}

static JsonObject *ask_session(const View *view)
{
    const HxStreamGiver *giver = view->giver;
    return giver->connect ? hx_stream_ask(giver->connect, giver->data, STATISTICS_SECONDS, NULL)
                          : NULL;
}

static void begin_benchmark(void *data)
{
    View *view = data;
    view->begin = moment_now(view);
    view->begin.session = ask_session(view);
    view->begin.encoder = view->giver->encoder(view->giver->data);
}

static void watch(View *view, GError **error)
{
    const HxStreamGiver *giver = view->giver;
    HxStreamWatch watch = {.settling = view->wish->benchmark > 0 ? SETTLING_SECONDS : 0,
                           .duration = view->wish->duration,
                           .settled = begin_benchmark,
                           .interval = hx_stream_live_interval(&view->live),
                           .frame = take_frame,
                           .tick = show_live,
                           .complete = compare_size,
                           .source = note_source,
                           .data = view};
    if (watch.interval && giver->connect)
        view->told_live = hx_stream_told_new(giver->connect, giver->data, STATISTICS_INTERVAL_MS);
    hx_stream_watch(&watch, view->client, &view->statistics, error);
    hx_stream_live_end(&view->live);
    g_clear_pointer(&view->told_live, hx_stream_told_free);
}

/* --- the result ---------------------------------------------------------------------------------
 */

/* @measured: NULL where there is no benchmark. */
static void print_result(View *view, const HxStreamMeasured *measured, gint64 now)
{
    HxStreamReport report = make_report(view, view->told, now);
    report.measured = measured;
    HxStreamStyle style = view->wish->style;
    if (style == HX_STREAM_TEXT) {
        g_autofree char *text = hx_stream_report_text(&report);
        fputs(text, stdout);
        return;
    }
    g_autofree char *json =
        hx_stream_report_json(&report, style == HX_STREAM_JSON_LINES ? HX_STREAM_JSON_RESULT_LINE
                                                                     : HX_STREAM_JSON_RESULT);
    puts(json);
}

/* No frame came: say where the path broke.  @cause: how the stream ended, or NULL.  What is no
 * silence has its own exit status. */
static void explain_no_frames(View *view, const GError *cause, GError **error)
{
    const HxStreamGiver *giver = view->giver;
    g_autofree char *state = giver->examine(view->client != NULL, view->answered, giver->data);
    if (!state && cause) {
        g_propagate_error(error, g_error_copy(cause));
        return;
    }
    HxStreamReport report = make_report(view, view->told, 0);
    g_autofree char *source = hx_stream_report_told(&report, "source");
    g_autofree char *reason = hx_stream_report_told(&report, "fallback_reason");
    gboolean silent = !cause || g_error_matches(cause, HX_ERROR, HX_ERROR_TIMEOUT);
    g_autoptr(JsonObject) encoder = giver->encoder ? giver->encoder(giver->data) : NULL;
    g_autofree char *stage =
        silent && giver->connect ? hx_stream_diagnose(view->told, encoder) : NULL;
    g_set_error(error, HX_ERROR, silent ? HX_ERROR_NO_FRAMES : cause->code,
                "no frame came from session \"%s\" of %s (%s)%s%s%s%s%s%s; %s",
                view->wish->request.session_id, giver->of, cause ? cause->message : "it is silent",
                stage ? ": " : "", stage ? stage : "", source ? "; its frames come from: " : "",
                source ? source : "", reason && *reason ? ", because " : "", reason ? reason : "",
                state);
}

/* What the benchmark comes to, from its begin to @end. */
static gboolean judge(View *view, HxStreamMoment *end, GError **error)
{
    HxStreamMeasured measured;
    end->session = view->told ? json_object_ref(view->told) : NULL;
    end->encoder = view->giver->encoder(view->giver->data);
    if (!hx_stream_measure(&view->begin, end, view->wish->benchmark, &measured.figures, error))
        return FALSE;
    measured.limit = hx_stream_limit_find(&measured.figures);
    print_result(view, &measured, end->time);
    if (!measured.limit.reached)
        g_set_error(error, HX_ERROR, HX_ERROR_TOO_SLOW,
                    "session \"%s\" of %s does not reach %g fps: %s limits",
                    view->wish->request.session_id, view->giver->of, view->wish->benchmark,
                    hx_stream_stage_name(measured.limit.stage));
    return measured.limit.reached;
}

/* Also of a stream that has failed; where the files do, that is what is told. */
static void finish_files(View *view, GError **cause)
{
    g_autoptr(GError) failure = NULL;
    if (hx_stream_files_finish(view->files, &failure) ||
        g_error_matches(*cause, HX_ERROR, HX_ERROR_HOST))
        return;
    g_clear_error(cause);
    *cause = g_steal_pointer(&failure);
}

gboolean hx_stream_view(const HxStreamGiver *giver, const HxStreamWish *wish, HxStreamFiles *files,
                        GCancellable *cancel, GError **error)
{
    g_auto(View)
        view = {.giver = giver,
                .wish = wish,
                .files = files,
                .live = {.quiet = wish->quiet, .json_lines = wish->style == HX_STREAM_JSON_LINES}};
    hx_stream_statistics_init(&view.statistics);
    hx_stream_sources_init(&view.sources);
    g_autoptr(GError) cause = NULL;
    view.client = giver->open(&wish->request, cancel, giver->data, &cause);
    g_auto(HxStreamMoment) end = {0};
    if (view.client) {
        watch(&view, &cause);
        end = moment_now(&view);
    }
    gint64 now = g_get_monotonic_time();
    finish_files(&view, &cause);
    gboolean interrupted = g_error_matches(cause, HX_ERROR, HX_ERROR_CANCELLED);
    if (!view.came && interrupted) {
        g_propagate_error(error, g_steal_pointer(&cause));
        return FALSE;
    }
    /* Also after an interrupt. */
    view.told = ask_session(&view);
    if (!view.came) {
        explain_no_frames(&view, cause, error);
        return FALSE;
    }
    if (!cause && wish->benchmark > 0)
        return judge(&view, &end, error);
    /* Where this host failed, what it has counted is beside the point. */
    if (!g_error_matches(cause, HX_ERROR, HX_ERROR_HOST))
        print_result(&view, NULL, now);
    /* Who gave no duration ends the stream by interrupting it. */
    if (cause && !(interrupted && wish->duration == 0)) {
        g_propagate_error(error, g_steal_pointer(&cause));
        return FALSE;
    }
    return TRUE;
}
