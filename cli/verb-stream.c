/* SPDX-License-Identifier: GPL-2.0-or-later */
/* helixvm stream: view a session of a running VM, count what comes and keep it.
 *
 * The session is asked for over SSH, which stays open: where no frame comes it is asked what broke.
 * The stream and the session's own statistics come over two more connections to its vsock port. */
#include <stdio.h>

#include "cli/guest.h"
#include "cli/stream-files.h"
#include "cli/stream-live.h"
#include "cli/stream-picture.h"
#include "cli/stream-told.h"
#include "cli/stream-watch.h"
#include "cli/verb.h"
#include "guest-provision/guest-session.h"
#include "launcher/base/error.h"

#define CONNECT_SECONDS 20
#define STATISTICS_SECONDS 10
#define STATISTICS_INTERVAL_MS 2000

typedef enum { TEXT, JSON, JSON_LINES } Style;

typedef struct {
    HxVm *vm;
    const char *session;
    guint32 port;
    HxStreamRequest request; /* its session is session */
    double duration;         /* seconds from the first frame; 0: until interrupted */
    HxStreamFiles *files;
    Style style;
    HxStreamLive live;
    HxStreamPicture picture;
    HxStreamStatistics statistics; /* of what came */
    HxStreamTold *told_live;       /* the session's own statistics: while it goes on, */
    JsonObject *told;              /* and at the end; NULL: not told */
} Stream;

static void stream_clear(Stream *stream)
{
    hx_stream_picture_clear(&stream->picture);
    hx_stream_statistics_clear(&stream->statistics);
    g_clear_pointer(&stream->told_live, hx_stream_told_free);
    g_clear_pointer(&stream->told, json_object_unref);
    g_clear_pointer(&stream->files, hx_stream_files_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Stream, stream_clear)

/* --- while it goes on ---------------------------------------------------------------------------
 */

static void warn(Stream *stream, const char *text)
{
    hx_stream_live_end(&stream->live);
    fprintf(stderr, "helixvm: warning: %s\n", text);
}

static gboolean take_frame(const HxStreamFrame *frame, void *data, GError **error)
{
    Stream *stream = data;
    const char *warning = hx_stream_picture_look(&stream->picture, frame);
    if (warning)
        warn(stream, warning);
    return hx_stream_files_add(stream->files, frame, error);
}

static HxStreamReport make_report(const Stream *stream, JsonObject *told, gint64 now)
{
    return (HxStreamReport){.session = stream->session,
                            .statistics = &stream->statistics,
                            .sps = stream->picture.known ? &stream->picture.sps : NULL,
                            .told = told,
                            .now = now};
}

static void show_live(gint64 now, void *data)
{
    Stream *stream = data;
    g_autoptr(JsonObject) told = hx_stream_told_get(stream->told_live);
    HxStreamReport report = make_report(stream, told, now);
    report.sample = hx_stream_statistics_sample(&stream->statistics, now);
    hx_stream_live_show(&stream->live, &report);
}

/* A desktop is as large as its session's configuration says. */
static void compare_size(int width, int height, void *data)
{
    Stream *stream = data;
    const HxStreamRequest *asked = &stream->request;
    if ((!asked->width || asked->width == width) && (!asked->height || asked->height == height))
        return;
    g_autofree char *text =
        g_strdup_printf("session \"%s\" stays as large as it is, %dx%d: in the guest, "
                        "/etc/helixvm/sessions/%s.conf says so",
                        stream->session, width, height, stream->session);
    warn(stream, text);
}

/* Any thread: a VM's handle is one thread's. */
static int connect_session(void *data, GCancellable *cancel)
{
    const Stream *stream = data;
    g_autoptr(HxVm) vm = hx_vm_open(hx_vm_name(stream->vm), NULL);
    return vm ? hx_vm_connect(vm, stream->port, cancel, NULL) : -1;
}

static void watch(Stream *stream, HxStreamClient *client, GError **error)
{
    HxStreamWatch watch = {.duration = stream->duration,
                           .interval = hx_stream_live_interval(&stream->live),
                           .frame = take_frame,
                           .tick = show_live,
                           .complete = compare_size,
                           .data = stream};
    if (watch.interval)
        stream->told_live = hx_stream_told_new(connect_session, stream, STATISTICS_INTERVAL_MS);
    hx_stream_watch(&watch, client, &stream->statistics, error);
    hx_stream_live_end(&stream->live);
    g_clear_pointer(&stream->told_live, hx_stream_told_free);
}

/* --- the result ---------------------------------------------------------------------------------
 */

static void print_result(Stream *stream, gint64 now)
{
    HxStreamReport report = make_report(stream, stream->told, now);
    if (stream->style == TEXT) {
        g_autofree char *text = hx_stream_report_text(&report);
        fputs(text, stdout);
        return;
    }
    g_autofree char *json = hx_stream_report_json(
        &report, stream->style == JSON_LINES ? HX_STREAM_JSON_RESULT_LINE : HX_STREAM_JSON_RESULT);
    puts(json);
}

/* No frame came: say where the path broke.  @cause: how the stream ended, or NULL.  What is no
 * silence has its own exit status. */
static void explain_no_frames(Stream *stream, HxSsh *ssh, const GError *cause, GError **error)
{
    g_autofree char *state = hx_guest_session_examine(ssh, stream->session, NULL);
    HxStreamReport report = make_report(stream, stream->told, 0);
    g_autofree char *source = hx_stream_report_told(&report, "source");
    g_autofree char *reason = hx_stream_report_told(&report, "fallback_reason");
    gboolean silent = !cause || g_error_matches(cause, HX_ERROR, HX_ERROR_TIMEOUT);
    g_set_error(error, HX_ERROR, silent ? HX_ERROR_NO_FRAMES : cause->code,
                "no frame came from session \"%s\" of VM \"%s\" (%s)%s%s%s%s; %s", stream->session,
                hx_vm_name(stream->vm), cause ? cause->message : "it is silent",
                source ? "; its frames come from: " : "", source ? source : "",
                reason && *reason ? ", because " : "", reason ? reason : "",
                state ? state : "the guest does not answer over SSH either");
}

/* Also of a stream that has failed; where the files do, that is what is told. */
static void finish_files(Stream *stream, GError **cause)
{
    g_autoptr(GError) failure = NULL;
    if (hx_stream_files_finish(stream->files, &failure) ||
        g_error_matches(*cause, HX_ERROR, HX_ERROR_HOST))
        return;
    g_clear_error(cause);
    *cause = g_steal_pointer(&failure);
}

static gboolean stream_session(Stream *stream, HxSsh *ssh, GError **error)
{
    GCancellable *cancel = hx_verb_cancellable();
    int fd = hx_vm_connect(stream->vm, stream->port, cancel, error);
    if (fd < 0)
        return FALSE;
    g_autoptr(GError) cause = NULL;
    g_autoptr(HxStreamClient) client =
        hx_stream_client_new(fd, "/ws/stream", &stream->request, CONNECT_SECONDS, cancel, &cause);
    if (client)
        watch(stream, client, &cause);
    gint64 now = g_get_monotonic_time();
    finish_files(stream, &cause);
    gboolean interrupted = g_error_matches(cause, HX_ERROR, HX_ERROR_CANCELLED);
    if (!stream->statistics.frames && interrupted) {
        g_propagate_error(error, g_steal_pointer(&cause));
        return FALSE;
    }
    /* Also after an interrupt. */
    stream->told = hx_stream_ask(connect_session, stream, STATISTICS_SECONDS, NULL);
    if (!stream->statistics.frames) {
        explain_no_frames(stream, ssh, cause, error);
        return FALSE;
    }
    /* Where this host failed, what it has counted is beside the point. */
    if (!g_error_matches(cause, HX_ERROR, HX_ERROR_HOST))
        print_result(stream, now);
    /* Who gave no duration ends the stream by interrupting it. */
    if (cause && !(interrupted && stream->duration == 0)) {
        g_propagate_error(error, g_steal_pointer(&cause));
        return FALSE;
    }
    return TRUE;
}

static gboolean check_range(const char *option, int value, int least, int most, GError **error)
{
    if (value == 0 || (value >= least && value <= most))
        return TRUE;
    g_set_error(error, HX_ERROR, HX_ERROR_USAGE, "%s takes %d to %d, or 0 for the session's own",
                option, least, most);
    return FALSE;
}

static gboolean check_request(const HxStreamRequest *request, GError **error)
{
    return check_range("--width", request->width, 2, 8192, error) &&
           check_range("--height", request->height, 2, 8192, error) &&
           check_range("--fps", request->fps, 1, 240, error) &&
           check_range("--bitrate", request->bitrate_kbit, 100, 200000, error);
}

gboolean hx_verb_stream(int argc, char **argv, GError **error)
{
    g_autofree char *session = g_strdup("desktop");
    g_autofree char *output = NULL, *snapshot = NULL;
    HxStreamRequest request = {0};
    double duration = 0;
    gboolean json = FALSE, json_lines = FALSE, quiet = FALSE;
    const GOptionEntry options[] = {
        {"session", 0, 0, G_OPTION_ARG_STRING, &session, "the session (default: desktop)",
         "SESSION"},
        {"duration", 0, 0, G_OPTION_ARG_DOUBLE, &duration,
         "end after so many seconds of frames (default: when interrupted)", "SECONDS"},
        {"width", 0, 0, G_OPTION_ARG_INT, &request.width, "ask for a picture so wide", "PIXELS"},
        {"height", 0, 0, G_OPTION_ARG_INT, &request.height, "ask for a picture so high", "PIXELS"},
        {"fps", 0, 0, G_OPTION_ARG_INT, &request.fps, "ask for no more frames a second", "FPS"},
        {"bitrate", 0, 0, G_OPTION_ARG_INT, &request.bitrate_kbit, "ask for this bitrate",
         "KBIT/S"},
        {"output", 'o', 0, G_OPTION_ARG_FILENAME, &output, "keep the frames: .h264, .mp4 or .mkv",
         "FILE"},
        {"snapshot", 0, 0, G_OPTION_ARG_FILENAME, &snapshot, "keep the last picture: .png", "FILE"},
        {"json", 0, 0, G_OPTION_ARG_NONE, &json, "print the result as JSON", NULL},
        {"json-lines", 0, 0, G_OPTION_ARG_NONE, &json_lines,
         "print statistics every 2 seconds, and the result, as lines of JSON", NULL},
        {"quiet", 'q', 0, G_OPTION_ARG_NONE, &quiet, "show no statistics while it goes on", NULL},
        G_OPTION_ENTRY_NULL,
    };
    if (!hx_verb_parse("[VM]", options, &argc, &argv, 0, 1, error))
        return FALSE;
    if (!(duration >= 0 && duration <= 1e6)) {
        g_set_error(error, HX_ERROR, HX_ERROR_USAGE, "--duration takes 0 to 1000000 seconds");
        return FALSE;
    }
    if (!check_request(&request, error) || !hx_stream_files_check(output, snapshot, error))
        return FALSE;
    g_autoptr(HxVm) vm = hx_vm_open(hx_verb_vm_name(argc, argv, 1), error);
    if (!vm)
        return FALSE;
    g_auto(Stream) stream = {.vm = vm,
                             .session = session,
                             .request = request,
                             .duration = duration,
                             .style = json_lines ? JSON_LINES
                                      : json     ? JSON
                                                 : TEXT,
                             .live = {.quiet = quiet, .json_lines = json_lines}};
    stream.request.session_id = session;
    hx_stream_statistics_init(&stream.statistics);
    HxGuest guest = hx_verb_guest(vm);
    g_autoptr(HxSsh) ssh = hx_guest_ssh(&guest, error);
    if (!ssh || !hx_guest_session_start(ssh, session, &stream.port, error))
        return FALSE;
    stream.files = hx_stream_files_new(output, snapshot, error);
    return stream.files && stream_session(&stream, ssh, error);
}
