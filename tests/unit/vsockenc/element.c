/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The element in a pipeline, against the real helixvm-encoder; ffmpeg decodes what comes out. */
#include "guest-provision/vsockenc/exchange.h"
#include "guest-provision/vsockenc/gstvsockenc.h"

#include "launcher/base/process.h"
#include "launcher/base/unix-socket.h"

#include <gst/video/video.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WIDTH = 640, HEIGHT = 360, FRAMES = 5 };

typedef struct {
    char *directory;
    char *socket_path;
    int listen_fd;
    pid_t service;
} Fixture;

static void start_service(Fixture *fixture)
{
    g_autofree char *program =
        g_build_filename(g_getenv("BUILD") ?: "build", "helixvm-encoder", NULL);
    const char *const argv[] = {program, "--listen-fd=3", "--bitrate=40000000", NULL};
    HxProcess process = {.argv = argv,
                         .stdin_fd = -1,
                         .stdout_fd = -1,
                         .stderr_fd = -1,
                         .fds = &fixture->listen_fd,
                         .n_fds = 1};
    g_autoptr(GError) error = NULL;
    fixture->service = hx_process_spawn(&process, &error);
    g_assert_no_error(error);
}

static void stop_service(Fixture *fixture)
{
    if (fixture->service <= 0)
        return;
    kill(fixture->service, SIGKILL);
    waitpid(fixture->service, NULL, 0);
    fixture->service = 0;
}

static void set_up(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    fixture->directory = g_dir_make_tmp("helixvm-vsockenc-XXXXXX", &error);
    g_assert_no_error(error);
    fixture->socket_path = g_build_filename(fixture->directory, "socket", NULL);
    fixture->listen_fd = hx_unix_listen(fixture->socket_path, SOCK_STREAM, 0600);
    g_assert_cmpint(fixture->listen_fd, >=, 0);
    start_service(fixture);
}

static void remove_file(const Fixture *fixture, const char *name)
{
    g_autofree char *path = g_build_filename(fixture->directory, name, NULL);
    unlink(path);
}

static void tear_down(Fixture *fixture, gconstpointer data)
{
    stop_service(fixture);
    close(fixture->listen_fd);
    remove_file(fixture, "socket");
    remove_file(fixture, "out.h264");
    remove_file(fixture, "in.rgb");
    remove_file(fixture, "out.rgb");
    g_assert_no_errno(rmdir(fixture->directory));
    g_free(fixture->socket_path);
    g_free(fixture->directory);
}

/* Run @pipeline to its end; NULL, or the error that it came to. */
static GError *run(GstElement *pipeline)
{
    GError *error = NULL;
    gst_element_set_state(pipeline, GST_STATE_PLAYING);
    g_autoptr(GstBus) bus = gst_element_get_bus(pipeline);
    g_autoptr(GstMessage) message =
        gst_bus_timed_pop_filtered(bus, 60 * GST_SECOND, GST_MESSAGE_EOS | GST_MESSAGE_ERROR);
    g_assert_nonnull(message);
    if (GST_MESSAGE_TYPE(message) == GST_MESSAGE_ERROR)
        gst_message_parse_error(message, &error, NULL);
    return error;
}

static void stop(GstElement *pipeline)
{
    g_assert_cmpint(gst_element_set_state(pipeline, GST_STATE_NULL), ==, GST_STATE_CHANGE_SUCCESS);
    gst_object_unref(pipeline);
}

static GstElement *launch(const char *format, ...) G_GNUC_PRINTF(1, 2);
static GstElement *launch(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_autofree char *text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    g_autoptr(GError) error = NULL;
    GstElement *pipeline = gst_parse_launch(text, &error);
    g_assert_no_error(error);
    return pipeline;
}

static GstStructure *statistics_of(GstElement *pipeline)
{
    GstStructure *statistics = NULL;
    g_autoptr(GstElement) encoder = gst_bin_get_by_name(GST_BIN(pipeline), "encoder");
    g_object_get(encoder, "statistics", &statistics, NULL);
    g_assert_nonnull(statistics);
    return statistics;
}

static guint64 get_count(const GstStructure *statistics, const char *name)
{
    guint64 value;
    g_assert_true(gst_structure_get_uint64(statistics, name, &value));
    return value;
}

static void decode(const Fixture *fixture)
{
    g_autofree char *in = g_build_filename(fixture->directory, "out.h264", NULL);
    g_autofree char *out = g_build_filename(fixture->directory, "out.rgb", NULL);
    const char *const argv[] = {"ffmpeg", "-v",       "error",    "-xerror", "-y", "-i", in,
                                "-f",     "rawvideo", "-pix_fmt", "rgb24",   out,  NULL};
    g_autoptr(GError) error = NULL;
    g_assert_true(hx_process_run(argv, NULL, NULL, &error));
    g_assert_no_error(error);
}

static char *contents(const Fixture *fixture, const char *name, gsize *ret_size)
{
    g_autofree char *path = g_build_filename(fixture->directory, name, NULL);
    g_autoptr(GError) error = NULL;
    char *text = NULL;
    g_assert_true(g_file_get_contents(path, &text, ret_size, &error));
    return text;
}

/* The last of @frames decoded frames is the picture that went in.  Its edges are blurred, its areas
 * are not. */
static void assert_same_picture(const Fixture *fixture, gsize frames)
{
    const gsize frame = (gsize)WIDTH * HEIGHT * 3;
    gsize in_size, out_size, differing = 0;
    g_autofree guint8 *in = (guint8 *)contents(fixture, "in.rgb", &in_size);
    g_autofree guint8 *out = (guint8 *)contents(fixture, "out.rgb", &out_size);
    g_assert_cmpuint(in_size, ==, frame);
    g_assert_cmpuint(out_size, ==, frame * frames);
    const guint8 *last = out + frame * (frames - 1);
    for (gsize i = 0; i < frame; i++)
        differing += ABS(in[i] - last[i]) > 6;
    /* Of the pixels, those beside an edge may differ: fewer than 3 in 100. */
    g_assert_cmpuint(differing * 100, <, frame * 3);
}

#define SOURCE "videotestsrc name=source num-buffers=%d pattern=%s"
#define CAPS "video/x-raw,width=%d,height=%d,framerate=30/1,format=%s"

/* The picture that is to be seen. */
static void write_reference(const Fixture *fixture, const char *pattern)
{
    GstElement *reference = launch(SOURCE " ! " CAPS " ! filesink location=%s/in.rgb", 1, pattern,
                                   WIDTH, HEIGHT, "RGB", fixture->directory);
    g_assert_null(run(reference));
    stop(reference);
}

static void test_formats(Fixture *fixture, gconstpointer data)
{
    const char *format = data;
    write_reference(fixture, "smpte75");
    GstElement *pipeline = launch(SOURCE " ! " CAPS "%s ! vsockenc name=encoder socket-path=%s ! "
                                         "video/x-h264,stream-format=byte-stream,alignment=au ! "
                                         "filesink location=%s/out.h264",
                                  FRAMES, "smpte75", WIDTH, HEIGHT, format,
                                  strcmp(format, "NV12") == 0 ? ",colorimetry=bt709" : "",
                                  fixture->socket_path, fixture->directory);
    g_autoptr(GError) error = run(pipeline);
    g_assert_no_error(error);
    g_autoptr(GstStructure) statistics = statistics_of(pipeline);
    guint64 frames = get_count(statistics, "frames");
    g_assert_cmpstr(gst_structure_get_string(statistics, "source"), ==, "pixels");
    g_assert_cmpuint(frames + get_count(statistics, "unchanged"), ==, FRAMES);
    g_assert_cmpuint(get_count(statistics, "keyframes"), ==, 1);
    g_assert_cmpuint(get_count(statistics, "errors"), ==, 0);
    stop(pipeline);
    decode(fixture);
    assert_same_picture(fixture, frames);
}

static void force_keyframe(Fixture *fixture, GstElement *sink)
{
    gst_element_send_event(
        sink, gst_video_event_new_upstream_force_key_unit(GST_CLOCK_TIME_NONE, TRUE, 0));
}

/* A picture that stays is coded until it is as good as it gets, and then no more, but for a
 * keyframe that is asked for; another one is coded at once. */
enum { ASKED = 100, CHANGED = 200, OFFERED = 300, STILL = 20, LATE = 2 + HX_EXCHANGE_FRAMES };

typedef struct {
    GstElement *pipeline;
    guint offered;
    guint64 coded[OFFERED]; /* how many frames were coded before each one went in */
} Still;

static GstPadProbeReturn offer(GstPad *pad, GstPadProbeInfo *info, void *data)
{
    Still *still = data;
    g_autoptr(GstStructure) statistics = statistics_of(still->pipeline);
    g_autoptr(GstElement) sink = gst_bin_get_by_name(GST_BIN(still->pipeline), "sink");
    g_autoptr(GstElement) source = gst_bin_get_by_name(GST_BIN(still->pipeline), "source");
    still->coded[still->offered] = get_count(statistics, "frames");
    if (still->offered == ASKED)
        force_keyframe(NULL, sink);
    /* Of the frames before this one two may be on their way, and one that has come is counted soon.
     */
    if (++still->offered == CHANGED)
        gst_util_set_object_arg(G_OBJECT(source), "pattern", "smpte100");
    return GST_PAD_PROBE_OK;
}

static void test_still(Fixture *fixture, gconstpointer data)
{
    write_reference(fixture, "smpte100");
    Still still = {.pipeline = launch(SOURCE " ! " CAPS " ! vsockenc name=encoder socket-path=%s ! "
                                             "filesink name=sink location=%s/out.h264",
                                      OFFERED, "smpte75", WIDTH, HEIGHT, "BGRx",
                                      fixture->socket_path, fixture->directory)};
    g_autoptr(GstElement) encoder = gst_bin_get_by_name(GST_BIN(still.pipeline), "encoder");
    g_autoptr(GstPad) pad = gst_element_get_static_pad(encoder, "sink");
    gst_pad_add_probe(pad, GST_PAD_PROBE_TYPE_BUFFER, offer, &still, NULL);
    g_autoptr(GError) error = run(still.pipeline);
    g_assert_no_error(error);
    g_autoptr(GstStructure) statistics = statistics_of(still.pipeline);
    const guint64 *coded = still.coded, frames = get_count(statistics, "frames");
    g_assert_cmpuint(still.offered, ==, OFFERED);
    g_assert_cmpuint(coded[ASKED], ==, coded[ASKED - STILL]);
    g_assert_cmpuint(coded[ASKED + LATE], >, coded[ASKED]);
    g_assert_cmpuint(coded[CHANGED], ==, coded[CHANGED - STILL]);
    g_assert_cmpuint(coded[CHANGED + LATE], >, coded[CHANGED]);
    g_assert_cmpuint(frames, ==, coded[OFFERED - STILL]);
    g_assert_cmpuint(get_count(statistics, "keyframes"), ==, 2);
    g_assert_cmpuint(get_count(statistics, "unchanged"), ==, OFFERED - frames);
    g_assert_cmpuint(get_count(statistics, "errors"), ==, 0);
    stop(still.pipeline);
    decode(fixture);
    assert_same_picture(fixture, frames);
}

/* Counts frames, and those that can be decoded by themselves. */
typedef struct {
    guint frames, keyframes;
    guint at; /* where `act` is called, with the number of frames so far */
    void (*act)(Fixture *fixture, GstElement *sink);
    Fixture *fixture;
} Counter;

static void handed_off(GstElement *sink, GstBuffer *buffer, GstPad *pad, Counter *counter)
{
    if (!GST_BUFFER_FLAG_IS_SET(buffer, GST_BUFFER_FLAG_DELTA_UNIT))
        counter->keyframes++;
    if (++counter->frames == counter->at)
        counter->act(counter->fixture, sink);
}

static GstElement *launch_counted(Fixture *fixture, Counter *counter, int frames,
                                  const char *properties)
{
    GstElement *pipeline =
        launch("videotestsrc num-buffers=%d pattern=ball ! " CAPS " ! vsockenc name=encoder "
               "socket-path=%s %s ! fakesink name=sink signal-handoffs=true",
               frames, WIDTH, HEIGHT, "BGRx", fixture->socket_path, properties);
    g_autoptr(GstElement) sink = gst_bin_get_by_name(GST_BIN(pipeline), "sink");
    g_signal_connect(sink, "handoff", G_CALLBACK(handed_off), counter);
    return pipeline;
}

static void test_keyframe_interval(Fixture *fixture, gconstpointer data)
{
    Counter counter = {0};
    GstElement *pipeline = launch_counted(fixture, &counter, 20, "keyframe-interval=5");
    g_assert_null(run(pipeline));
    g_assert_cmpuint(counter.frames, ==, 20);
    g_assert_cmpuint(counter.keyframes, ==, 4);
    stop(pipeline);
}

static void test_forced_keyframe(Fixture *fixture, gconstpointer data)
{
    Counter counter = {.at = 4, .act = force_keyframe};
    GstElement *pipeline = launch_counted(fixture, &counter, 10, "");
    g_assert_null(run(pipeline));
    g_assert_cmpuint(counter.frames, ==, 10);
    g_assert_cmpuint(counter.keyframes, ==, 2);
    stop(pipeline);
}

/* Bytes of the last ten of twenty frames: by the service's own bitrate, by one that is set while it
 * plays, and when that is taken back. */
typedef struct {
    guint frames;
    gsize bytes[3];
} Rates;

static void count_bytes(GstElement *sink, GstBuffer *buffer, GstPad *pad, Rates *rates)
{
    g_autoptr(GstObject) pipeline = gst_object_get_parent(GST_OBJECT(sink));
    g_autoptr(GstElement) encoder = gst_bin_get_by_name(GST_BIN(pipeline), "encoder");
    if (rates->frames % 20 >= 10)
        rates->bytes[rates->frames / 20] += gst_buffer_get_size(buffer);
    if (++rates->frames == 20)
        g_object_set(encoder, "bitrate", 500, NULL);
    else if (rates->frames == 40)
        g_object_set(encoder, "bitrate", 0, NULL);
}

static void test_bitrate(Fixture *fixture, gconstpointer data)
{
    Rates rates = {0};
    GstElement *pipeline = launch(SOURCE " ! " CAPS " ! vsockenc name=encoder socket-path=%s ! "
                                         "fakesink name=sink signal-handoffs=true",
                                  60, "snow", WIDTH, HEIGHT, "BGRx", fixture->socket_path);
    g_autoptr(GstElement) sink = gst_bin_get_by_name(GST_BIN(pipeline), "sink");
    g_signal_connect(sink, "handoff", G_CALLBACK(count_bytes), &rates);
    g_autoptr(GError) error = run(pipeline);
    g_assert_no_error(error);
    g_assert_cmpuint(rates.frames, ==, 60);
    g_assert_cmpuint(rates.bytes[1] * 4, <, rates.bytes[0]);
    g_assert_cmpuint(rates.bytes[1] * 4, <, rates.bytes[2]);
    g_autoptr(GstStructure) statistics = statistics_of(pipeline);
    g_assert_cmpuint(get_count(statistics, "errors"), ==, 0);
    stop(pipeline);
}

static void restart_service(Fixture *fixture, GstElement *sink)
{
    stop_service(fixture);
    start_service(fixture);
}

/* The service is killed and started again: the stream goes on with a keyframe, without a gap. */
static void test_restart(Fixture *fixture, gconstpointer data)
{
    Counter counter = {.at = 4, .act = restart_service, .fixture = fixture};
    GstElement *pipeline = launch_counted(fixture, &counter, 10, "");
    g_autoptr(GError) error = run(pipeline);
    g_assert_no_error(error);
    g_assert_cmpuint(counter.frames, ==, 10);
    g_assert_cmpuint(counter.keyframes, ==, 2);
    g_autoptr(GstStructure) statistics = statistics_of(pipeline);
    g_assert_cmpuint(get_count(statistics, "reconnects"), ==, 1);
    stop(pipeline);
}

/* Returns when all its threads have stopped: until then it may answer. */
static void hang_service(Fixture *fixture, GstElement *sink)
{
    siginfo_t stopped;
    kill(fixture->service, SIGSTOP);
    g_assert_cmpint(waitid(P_PID, fixture->service, &stopped, WSTOPPED), ==, 0);
}

/* It is waited for once. */
static void test_hang(Fixture *fixture, gconstpointer data)
{
    Counter counter = {.at = 4, .act = hang_service, .fixture = fixture};
    GstElement *pipeline = launch_counted(fixture, &counter, 1000, "timeout=1500");
    gint64 started = g_get_monotonic_time();
    g_autoptr(GError) error = run(pipeline);
    gint64 took_ms = (g_get_monotonic_time() - started) / 1000;
    g_assert_cmpint(took_ms, >=, 1500);
    g_assert_cmpint(took_ms, <, 2 * 1500);
    g_assert_error(error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_READ);
    g_assert_nonnull(strstr(error->message, "does not answer"));
    /* Those on their way may have been answered already. */
    g_assert_cmpuint(counter.frames, <=, 4 + HX_EXCHANGE_FRAMES);
    stop(pipeline);
}

/* A pipeline that waits for an answer can be stopped at once. */
static void test_stop_while_waiting(Fixture *fixture, gconstpointer data)
{
    Counter counter = {0};
    hang_service(fixture, NULL);
    GstElement *pipeline = launch_counted(fixture, &counter, 10, "timeout=60000");
    gst_element_set_state(pipeline, GST_STATE_PLAYING);
    g_autoptr(GstBus) bus = gst_element_get_bus(pipeline);
    g_autoptr(GstMessage) message =
        gst_bus_timed_pop_filtered(bus, 10 * GST_SECOND, GST_MESSAGE_STREAM_START);
    gint64 started = g_get_monotonic_time();
    stop(pipeline);
    g_assert_cmpint(g_get_monotonic_time() - started, <, 5 * G_USEC_PER_SEC);
    g_assert_cmpuint(counter.frames, ==, 0);
}

static void test_no_service(Fixture *fixture, gconstpointer data)
{
    Counter counter = {0};
    stop_service(fixture);
    remove_file(fixture, "socket");
    GstElement *pipeline = launch_counted(fixture, &counter, 10, "");
    g_autoptr(GError) error = run(pipeline);
    g_assert_error(error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_OPEN_READ_WRITE);
    g_assert_nonnull(strstr(error->message, fixture->socket_path));
    stop(pipeline);
}

#define ADD(name, data, function)                                                                  \
    g_test_add("/vsockenc/" name, Fixture, data, set_up, function, tear_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    /* Plugins are looked for anew when others are installed; the user's cache is not touched. */
    g_autofree char *registry =
        g_build_filename(g_getenv("BUILD") ?: "build", "tests", "gstreamer-registry.bin", NULL);
    g_setenv("GST_REGISTRY", registry, TRUE);
    gst_init(&argc, &argv);
    gst_element_register(NULL, "vsockenc", GST_RANK_NONE, GST_TYPE_VSOCK_ENC);
    ADD("formats/BGRx", "BGRx", test_formats);
    ADD("formats/BGRA", "BGRA", test_formats);
    ADD("formats/RGBx", "RGBx", test_formats);
    ADD("formats/RGBA", "RGBA", test_formats);
    ADD("formats/NV12", "NV12", test_formats);
    ADD("still", NULL, test_still);
    ADD("keyframe-interval", NULL, test_keyframe_interval);
    ADD("forced-keyframe", NULL, test_forced_keyframe);
    ADD("bitrate", NULL, test_bitrate);
    ADD("restart", NULL, test_restart);
    ADD("hang", NULL, test_hang);
    ADD("stop-while-waiting", NULL, test_stop_while_waiting);
    ADD("no-service", NULL, test_no_service);
    return g_test_run();
}
