/* SPDX-License-Identifier: GPL-2.0-or-later */
/* helixvm-session NAME: a headless desktop in the guest, and its H.264 stream for viewers.
 *
 * Theory of operation.  One main loop.  The server listens first, and state.json says where; the
 * desktop starts, then the encoder pipeline; the first coded frame makes the session "running",
 * which systemd is told.  What fails then ends the session: its viewers are told the reason, and
 * systemd starts it again within its bounds. */
#include "guest-provision/session/config.h"
#include "guest-provision/session/desktop.h"
#include "guest-provision/session/pipeline.h"
#include "guest-provision/session/server.h"
#include "guest-provision/session/status.h"

#include <glib-unix.h>
#include <signal.h>
#include <unistd.h>

/* ms: how long viewers are given to take the reason of a failure. */
enum { FAREWELL_TIME = 500 };
/* The unit does not try again what cannot change by itself. */
enum { EXIT_CONFIG = 2 };

typedef struct {
    const char *name;
    const char *directory;
    SessionConfig config;
    GMainLoop *loop;
    SessionServer *server;
    SessionDesktop *desktop;
    SessionPipeline *pipeline;
    guint32 port;
    guint viewers;
    gboolean running;
    gboolean failed;
    gboolean stopping;
} Session;

/* --- ends --------------------------------------------------------------------------------------
 */

static gboolean quit(void *data)
{
    Session *session = data;
    g_main_loop_quit(session->loop);
    return G_SOURCE_REMOVE;
}

static gboolean stop_asked(void *data)
{
    ((Session *)data)->stopping = TRUE;
    quit(data);
    return G_SOURCE_CONTINUE;
}

static void set_state(Session *session, const char *state, const char *reason)
{
    g_autoptr(GError) error = NULL;
    if (!session_state_write(session->directory, session->port, state, reason, &error))
        g_warning("%s", error->message);
}

/* In the journal, and as systemd's word for the unit. */
static void say_why(const char *reason)
{
    g_autofree char *status = g_strdup_printf("STATUS=%s", reason);
    g_critical("%s", reason);
    session_notify(status);
}

static void session_failed(const char *reason, void *data)
{
    Session *session = data;
    if (session->failed || session->stopping)
        return;
    session->failed = TRUE;
    session_pipeline_give_up(session->pipeline);
    say_why(reason);
    set_state(session, "failed", reason);
    session_server_fail(session->server, reason);
    g_timeout_add(session->viewers ? FAREWELL_TIME : 0, quit, session);
}

/* --- desktop and pipeline ----------------------------------------------------------------------
 */

static void desktop_ready(void *data)
{
    Session *session = data;
    session_pipeline_start(session->pipeline);
}

static void got_frame(const SessionFrame *frame, void *data)
{
    Session *session = data;
    HxStreamFrame message = {.codec = HX_STREAM_CODEC_H264,
                             .flags = frame->is_keyframe ? HX_STREAM_FRAME_KEY : 0,
                             .pts_us = frame->pts_us,
                             .width = (guint16)frame->width,
                             .height = (guint16)frame->height,
                             .data = frame->data,
                             .size = frame->size};
    session_server_send_frame(session->server, &message);
    if (session->running || session->failed)
        return;
    session->running = TRUE;
    set_state(session, "running", NULL);
    session_notify("READY=1\nSTATUS=running");
}

static void source_known(const SessionPipelineStatistics *statistics, void *data)
{
    Session *session = data;
    const HxStreamSource source = {.source = (char *)statistics->source,
                                   .encoder = (char *)statistics->encoder,
                                   .reason = statistics->fallback_reason};
    g_message("frames come from %s, encoder %s%s%s", source.source, source.encoder,
              source.reason ? ": " : "", source.reason ? source.reason : "");
    session_server_set_source(session->server, &source);
}

/* --- the server's questions --------------------------------------------------------------------
 */

static void describe(HxStreamInit *ret_init, void *data)
{
    Session *session = data;
    g_auto(SessionPipelineStatistics) statistics = {0};
    session_pipeline_get_statistics(session->pipeline, &statistics);
    *ret_init = (HxStreamInit){.codec = HX_STREAM_CODEC_H264,
                               .width = (guint16)statistics.width,
                               .height = (guint16)statistics.height,
                               .fps = (guint8)session->config.fps};
}

static char *statistics_json(void *data)
{
    Session *session = data;
    g_auto(SessionPipelineStatistics) statistics = {0};
    g_autofree char *renderer = session_desktop_gl_renderer(session->desktop);
    session_pipeline_get_statistics(session->pipeline, &statistics);
    return session_statistics_json(session->name, &statistics, session->viewers,
                                   session_server_dropped(session->server), renderer);
}

static void needs_keyframe(void *data)
{
    Session *session = data;
    session_pipeline_force_keyframe(session->pipeline);
}

static void viewers_changed(guint viewers, const SessionWish *wish, void *data)
{
    Session *session = data;
    session->viewers = viewers;
    session_pipeline_set_wish(session->pipeline, wish->fps, wish->bitrate);
    session_pipeline_set_active(session->pipeline, viewers > 0);
}

static guint16 encoder_latency(void *data)
{
    Session *session = data;
    g_auto(SessionPipelineStatistics) statistics = {0};
    session_pipeline_get_statistics(session->pipeline, &statistics);
    return (guint16)CLAMP(statistics.latency.p50 + 0.5, 0, G_MAXUINT16);
}

/* --- the program -------------------------------------------------------------------------------
 */

static gboolean start(Session *session, const char *socket_path, GError **error)
{
    int fd = socket_path ? session_listen_unix(socket_path, error)
                         : session_listen_vsock(&session->port, error);
    if (fd < 0)
        return FALSE;
    SessionServerEvents server_events = {.describe = describe,
                                         .statistics = statistics_json,
                                         .needs_keyframe = needs_keyframe,
                                         .viewers_changed = viewers_changed,
                                         .encoder_latency = encoder_latency,
                                         .data = session};
    session->server = session_server_new(fd, (guint)session->config.viewers, &server_events);
    SessionPipelineEvents pipeline_events = {
        .frame = got_frame, .source = source_known, .failed = session_failed, .data = session};
    session->pipeline = session_pipeline_new(&session->config, &pipeline_events);
    SessionDesktopEvents desktop_events = {
        .ready = desktop_ready, .failed = session_failed, .data = session};
    session->desktop =
        session_desktop_start(&session->config, session->directory, &desktop_events, error);
    return session->desktop &&
           session_state_write(session->directory, session->port, "starting", NULL, error);
}

static void end(Session *session)
{
    session_notify("STOPPING=1");
    session_state_remove(session->directory);
    /* In this order: the pipeline may be waiting for the desktop's PipeWire. */
    session_desktop_free(session->desktop);
    session_pipeline_free(session->pipeline);
    session_server_free(session->server);
    session_config_clear(&session->config);
    g_main_loop_unref(session->loop);
}

/* One line on stderr, which is the journal's. */
static GLogWriterOutput write_log(GLogLevelFlags level, const GLogField *fields, gsize n_fields,
                                  void *data)
{
    const char *text = NULL;
    if ((level & G_LOG_LEVEL_DEBUG) && !g_getenv("HELIXVM_DEBUG"))
        return G_LOG_WRITER_HANDLED;
    for (gsize i = 0; i < n_fields; i++)
        if (g_strcmp0(fields[i].key, "MESSAGE") == 0)
            text = fields[i].value;
    g_printerr("helixvm-session: %s%s\n",
               level & (G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_ERROR) ? "error: "
               : level & G_LOG_LEVEL_WARNING                      ? "warning: "
                                                                  : "",
               text ? text : "");
    return G_LOG_WRITER_HANDLED;
}

int main(int argc, char **argv)
{
    g_autofree char *config_path = NULL, *directory = NULL, *socket_path = NULL;
    gboolean version = FALSE;
    const GOptionEntry entries[] = {
        {"config", 'c', 0, G_OPTION_ARG_FILENAME, &config_path,
         "Configuration (default /etc/helixvm/sessions/NAME.conf)", "FILE"},
        {"runtime-dir", 'r', 0, G_OPTION_ARG_FILENAME, &directory,
         "Directory of its own (default $RUNTIME_DIRECTORY)", "DIR"},
        {"socket", 's', 0, G_OPTION_ARG_FILENAME, &socket_path,
         "Listen on a Unix socket instead of vsock", "PATH"},
        {"version", 0, 0, G_OPTION_ARG_NONE, &version, "Print the version", NULL},
        {0}};
    g_autoptr(GOptionContext) context = g_option_context_new("NAME");
    g_autoptr(GError) error = NULL;
    g_option_context_set_summary(context, "Run the desktop session NAME and serve its stream.");
    g_option_context_add_main_entries(context, entries, NULL);
    g_log_set_writer_func(write_log, NULL, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error)) {
        g_printerr("helixvm-session: %s\n", error->message);
        return EXIT_CONFIG;
    }
    if (version) {
        g_print("helixvm-session %s\n", HELIXVM_VERSION);
        return 0;
    }
    if (!directory)
        directory = g_strdup(g_getenv("RUNTIME_DIRECTORY"));
    if (argc != 2 || !session_name_is_valid(argv[1]) || !directory ||
        !g_path_is_absolute(directory)) {
        g_printerr("helixvm-session: wants a session's name, and an absolute runtime directory\n");
        return EXIT_CONFIG;
    }
    if (!config_path)
        config_path = g_strdup_printf("/etc/helixvm/sessions/%s.conf", argv[1]);

    Session session = {
        .name = argv[1], .directory = directory, .loop = g_main_loop_new(NULL, FALSE)};
    signal(SIGPIPE, SIG_IGN);
    guint terminate = g_unix_signal_add(SIGTERM, stop_asked, &session);
    guint interrupt = g_unix_signal_add(SIGINT, stop_asked, &session);
    gboolean configured = session_config_load(&session.config, config_path, &error);
    gboolean started =
        configured && session_pipeline_init(&error) && start(&session, socket_path, &error);
    if (started)
        g_main_loop_run(session.loop);
    else
        say_why(error->message);
    end(&session);
    g_source_remove(terminate);
    g_source_remove(interrupt);
    if (socket_path)
        unlink(socket_path);
    if (!configured)
        return EXIT_CONFIG;
    return started && !session.failed ? 0 : 1;
}
