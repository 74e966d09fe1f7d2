/* SPDX-License-Identifier: GPL-2.0-or-later */
/* helixvm stream: view a session of a running VM, count what comes and keep it.
 *
 * The session is asked for over SSH, which stays open: where no frame comes it is asked what broke.
 * The stream and the session's own statistics come over two more connections to its vsock port. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/guest.h"
#include "cli/json-print.h"
#include "cli/stream-client.h"
#include "cli/stream-statistics.h"
#include "cli/verb.h"
#include "guest-provision/guest-session.h"
#include "launcher/base/error.h"
#include "launcher/base/fd.h"
#include "launcher/base/json.h"
#include "launcher/base/printable.h"

#define CONNECT_SECONDS 20
#define FIRST_FRAME_SECONDS 45
#define LINE_INTERVAL (2 * G_USEC_PER_SEC)
#define STATISTICS_SECONDS 10

typedef struct {
    HxVm *vm;
    const char *session;
    guint32 port;
    double duration; /* seconds from the first frame; 0: until interrupted */
    int output;      /* -1: none */
    const char *output_path;
    gboolean lines; /* statistics while it goes on */
    gint64 next_line;
    gint64 end;                    /* monotonic: when there is enough, or no more hope */
    HxStreamStatistics statistics; /* of what came */
    JsonObject *told;              /* the session's own statistics; NULL: not told */
} Stream;

static void stream_clear(Stream *stream)
{
    hx_stream_statistics_clear(&stream->statistics);
    g_clear_pointer(&stream->told, json_object_unref);
    hx_close(&stream->output);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Stream, stream_clear)

/* --- what comes ---------------------------------------------------------------------------------
 */

static gboolean is_annex_b(const HxStreamFrame *frame)
{
    static const guint8 start[] = {0, 0, 0, 1};
    return frame->size > 4 &&
           (memcmp(frame->data, start, 4) == 0 || memcmp(frame->data, start + 1, 3) == 0);
}

static gboolean take_frame(Stream *stream, const HxStreamFrame *frame, GError **error)
{
    if (frame->codec != HX_STREAM_CODEC_H264 || !is_annex_b(frame)) {
        g_set_error(error, HX_ERROR, HX_ERROR_PROTOCOL,
                    "the session sent a frame that is no H.264 byte stream (codec %u)",
                    frame->codec);
        return FALSE;
    }
    gboolean key = frame->flags & HX_STREAM_FRAME_KEY;
    /* Before the first keyframe there is nothing that a decoder could make of it. */
    if (!stream->statistics.frames && !key)
        return TRUE;
    gint64 now = g_get_monotonic_time();
    if (!stream->statistics.frames) {
        stream->next_line = now + LINE_INTERVAL;
        stream->end =
            stream->duration > 0 ? now + (gint64)(stream->duration * G_USEC_PER_SEC) : G_MAXINT64;
    }
    hx_stream_statistics_frame(&stream->statistics, now, frame->width, frame->height, frame->size,
                               key, frame->flags & HX_STREAM_FRAME_REPLAY);
    int result = stream->output >= 0 ? hx_write_all(stream->output, frame->data, frame->size) : 0;
    if (result < 0)
        hx_set_error_errno(error, HX_ERROR_HOST, -result, "cannot write %s", stream->output_path);
    return result == 0;
}

/* Take events until there is enough; FALSE with @error where the stream ends before. */
static gboolean watch(Stream *stream, HxStreamClient *client, GError **error)
{
    stream->next_line = G_MAXINT64;
    stream->end = g_get_monotonic_time() + FIRST_FRAME_SECONDS * G_USEC_PER_SEC;
    for (;;) {
        HxStreamEvent event;
        gint64 until = MIN(stream->end, stream->next_line);
        if (!hx_stream_client_next(client, until, &event, error))
            return FALSE;
        switch (event.type) {
        case HX_STREAM_EVENT_FRAME:
            if (!take_frame(stream, &event.frame, error))
                return FALSE;
            break;
        case HX_STREAM_EVENT_ROUND_TRIP:
            hx_stream_statistics_round_trip(&stream->statistics, event.round_trip);
            break;
        case HX_STREAM_EVENT_TIME:
            if (until == stream->end)
                return TRUE;
            stream->next_line = until + LINE_INTERVAL;
            if (stream->lines) {
                g_autofree char *line =
                    hx_stream_statistics_line(&stream->statistics, g_get_monotonic_time());
                fprintf(stderr, "%s\n", line);
            }
            break;
        case HX_STREAM_EVENT_COMPLETE:
        case HX_STREAM_EVENT_INIT:
            break;
        }
    }
}

/* The session's own statistics: what it is asked for also after an interrupt. */
static void ask_session(Stream *stream)
{
    int fd = hx_vm_connect(stream->vm, stream->port, NULL, NULL);
    g_autofree char *text =
        fd >= 0 ? hx_stream_get(fd, "/statistics", STATISTICS_SECONDS, NULL, NULL) : NULL;
    stream->told = text ? hx_json_parse_object(text, -1) : NULL;
}

/* --- the result ---------------------------------------------------------------------------------
 */

/* A string that the session told, NULL where it is none; it goes to terminals. */
static char *told_string(const Stream *stream, const char *name)
{
    const char *told = hx_json_string(stream->told, name);
    return told ? hx_printable(told) : NULL;
}

/* A number of the session's latencies in ms; negative where it told none. */
static double told_latency(const Stream *stream, const char *name)
{
    JsonObject *latency = hx_json_object(stream->told, "latency_ms");
    JsonNode *value = latency ? json_object_get_member(latency, name) : NULL;
    return value && JSON_NODE_HOLDS_VALUE(value) ? json_node_get_double(value) : -1;
}

/* Three decimals; null where it is negative: not known. */
static void add_number(JsonBuilder *builder, const char *name, double value)
{
    json_builder_set_member_name(builder, name);
    if (value >= 0)
        json_builder_add_double_value(builder, (gint64)(value * 1000 + 0.5) / 1000.0);
    else
        json_builder_add_null_value(builder);
}

static void print_json(const Stream *stream, gint64 now)
{
    static const char *const latencies[] = {"p50", "p95", "p99", "max"};
    const HxStreamStatistics *statistics = &stream->statistics;
    g_autofree char *source = told_string(stream, "source");
    g_autofree char *encoder = told_string(stream, "encoder");
    g_autoptr(JsonBuilder) builder = json_builder_new();
    json_builder_begin_object(builder);
    hx_json_add_string(builder, "session", stream->session);
    hx_json_add_string(builder, "source", source);
    hx_json_add_string(builder, "encoder", encoder);
    hx_json_add_string(builder, "codec", "h264");
    hx_json_add_integer(builder, "width", statistics->width);
    hx_json_add_integer(builder, "height", statistics->height);
    hx_json_add_integer(builder, "frames", statistics->frames);
    hx_json_add_integer(builder, "keyframes", statistics->keyframes);
    hx_json_add_integer(builder, "bytes", statistics->bytes);
    add_number(builder, "duration_s", hx_stream_statistics_duration(statistics, now));
    add_number(builder, "fps", hx_stream_statistics_fps(statistics, now));
    hx_json_add_integer(builder, "bitrate_bps", hx_stream_statistics_bitrate(statistics, now));
    json_builder_set_member_name(builder, "latency_ms");
    json_builder_begin_object(builder);
    for (size_t i = 0; i < G_N_ELEMENTS(latencies); i++)
        add_number(builder, latencies[i], told_latency(stream, latencies[i]));
    json_builder_end_object(builder);
    add_number(builder, "round_trip_ms", hx_stream_statistics_round_trip_ms(statistics));
    json_builder_end_object(builder);
    hx_json_print(builder);
}

/* "12.3 ms", or "unknown". */
static char *milliseconds(double value)
{
    return value >= 0 ? g_strdup_printf("%.1f ms", value) : g_strdup("unknown");
}

static void print_text(const Stream *stream, gint64 now)
{
    const HxStreamStatistics *statistics = &stream->statistics;
    g_autofree char *source = told_string(stream, "source");
    g_autofree char *encoder = told_string(stream, "encoder");
    g_autofree char *reason = told_string(stream, "fallback_reason");
    g_autofree char *p50 = milliseconds(told_latency(stream, "p50"));
    g_autofree char *p95 = milliseconds(told_latency(stream, "p95"));
    g_autofree char *p99 = milliseconds(told_latency(stream, "p99"));
    g_autofree char *most = milliseconds(told_latency(stream, "max"));
    g_autofree char *round_trip = milliseconds(hx_stream_statistics_round_trip_ms(statistics));
    printf("session         %s\n", stream->session);
    printf("source          %s, encoder %s%s%s\n", source ? source : "unknown",
           encoder ? encoder : "unknown", reason && *reason ? ": " : "", reason ? reason : "");
    printf("picture         %ux%u H.264\n", statistics->width, statistics->height);
    printf("video frames    %" G_GUINT64_FORMAT " (%" G_GUINT64_FORMAT " key) in %.1f s\n",
           statistics->frames, statistics->keyframes,
           hx_stream_statistics_duration(statistics, now));
    printf("frame rate      %.1f fps\n", hx_stream_statistics_fps(statistics, now));
    printf("data            %.2f MB, %.2f Mbit/s\n", statistics->bytes / 1e6,
           hx_stream_statistics_bitrate(statistics, now) / 1e6);
    printf("frame size      %.1f kB (%.1f to %.1f)\n",
           statistics->bytes / 1e3 / MAX(statistics->frames, 1), statistics->smallest / 1e3,
           statistics->largest / 1e3);
    printf("encode latency  p50 %s, p95 %s, p99 %s, max %s\n", p50, p95, p99, most);
    printf("round trip      %s\n", round_trip);
}

/* No frame came: say where the path broke.  @cause: how the stream ended, or NULL. */
static void explain_no_frames(Stream *stream, HxSsh *ssh, const GError *cause, GError **error)
{
    g_autofree char *state = hx_guest_session_examine(ssh, stream->session, NULL);
    g_autofree char *source = told_string(stream, "source");
    g_autofree char *reason = told_string(stream, "fallback_reason");
    g_set_error(error, HX_ERROR, HX_ERROR_NO_FRAMES,
                "no frame came from session \"%s\" of VM \"%s\" (%s)%s%s%s%s; %s", stream->session,
                hx_vm_name(stream->vm), cause ? cause->message : "it is silent",
                source ? "; its frames come from: " : "", source ? source : "",
                reason && *reason ? ", because " : "", reason ? reason : "",
                state ? state : "the guest does not answer over SSH either");
}

static gboolean stream_session(Stream *stream, HxSsh *ssh, gboolean json, GError **error)
{
    HxStreamRequest request = {.session_id = (char *)stream->session};
    GCancellable *cancel = hx_verb_cancellable();
    int fd = hx_vm_connect(stream->vm, stream->port, cancel, error);
    if (fd < 0)
        return FALSE;
    g_autoptr(GError) cause = NULL;
    g_autoptr(HxStreamClient) client =
        hx_stream_client_new(fd, "/ws/stream", &request, CONNECT_SECONDS, cancel, &cause);
    if (client)
        watch(stream, client, &cause);
    gint64 now = g_get_monotonic_time();
    gboolean interrupted = g_error_matches(cause, HX_ERROR, HX_ERROR_CANCELLED);
    if (!stream->statistics.frames && interrupted) {
        g_propagate_error(error, g_steal_pointer(&cause));
        return FALSE;
    }
    ask_session(stream);
    if (!stream->statistics.frames) {
        explain_no_frames(stream, ssh, cause, error);
        return FALSE;
    }
    /* Where this host failed, what it has counted is beside the point. */
    if (!g_error_matches(cause, HX_ERROR, HX_ERROR_HOST))
        (json ? print_json : print_text)(stream, now);
    /* Who gave no duration ends the stream by interrupting it. */
    if (cause && !(interrupted && stream->duration == 0)) {
        g_propagate_error(error, g_steal_pointer(&cause));
        return FALSE;
    }
    return TRUE;
}

static gboolean open_output(Stream *stream, GError **error)
{
    if (!stream->output_path)
        return TRUE;
    stream->output = open(stream->output_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (stream->output < 0)
        hx_set_error_errno(error, HX_ERROR_HOST, errno, "cannot write %s", stream->output_path);
    return stream->output >= 0;
}

gboolean hx_verb_stream(int argc, char **argv, GError **error)
{
    g_autofree char *session = g_strdup("desktop");
    g_autofree char *output = NULL;
    double duration = 0;
    gboolean json = FALSE;
    const GOptionEntry options[] = {
        {"session", 0, 0, G_OPTION_ARG_STRING, &session, "the session (default: desktop)",
         "SESSION"},
        {"duration", 0, 0, G_OPTION_ARG_DOUBLE, &duration,
         "end after so many seconds of frames (default: when interrupted)", "SECONDS"},
        {"output", 'o', 0, G_OPTION_ARG_FILENAME, &output, "keep the H.264 byte stream", "FILE"},
        {"json", 0, 0, G_OPTION_ARG_NONE, &json, "print the result as JSON", NULL},
        G_OPTION_ENTRY_NULL,
    };
    if (!hx_verb_parse("[VM]", options, &argc, &argv, 0, 1, error))
        return FALSE;
    if (!(duration >= 0 && duration <= 1e6)) {
        g_set_error(error, HX_ERROR, HX_ERROR_USAGE, "--duration takes 0 to 1000000 seconds");
        return FALSE;
    }
    g_autoptr(HxVm) vm = hx_vm_open(hx_verb_vm_name(argc, argv, 1), error);
    if (!vm)
        return FALSE;
    g_auto(Stream) stream = {.vm = vm,
                             .session = session,
                             .duration = duration,
                             .output = -1,
                             .output_path = output,
                             .lines = isatty(STDERR_FILENO)};
    hx_stream_statistics_init(&stream.statistics);
    HxGuest guest = hx_verb_guest(vm);
    g_autoptr(HxSsh) ssh = hx_guest_ssh(&guest, error);
    return ssh && hx_guest_session_start(ssh, session, &stream.port, error) &&
           open_output(&stream, error) && stream_session(&stream, ssh, json, error);
}
