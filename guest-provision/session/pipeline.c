/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Theory of operation.  There are two ways of encoding, the better first:
 *
 *   HOST   by vsockenc: the compositor's dma-bufs where it has them, or else its frames in memory
 *   GUEST  by x264enc: its frames in memory
 *
 * A way that fails, or brings no frame within FIRST_FRAME_TIME, is left for the next, and the
 * reason is kept.  While the guest encodes, the host is asked whether it answers; once it does, it
 * is taken again.
 *
 * Three threads meet here.  The main thread owns the ladder and the bus.  A state change waits
 * inside pipewiresrc until the linker (in the main thread) has linked it, so it is made in a thread
 * of GStreamer's.  Streaming threads pass the gate before the encoder, and leave samples in the
 * appsink for the main thread to take; a main thread that is late fills the appsink, and the queue
 * before the encoder then drops the oldest frames. */
#include "guest-provision/session/pipeline.h"

#include "guest-provision/session/desktop.h"
#include "guest-provision/session/host-wait.h"
#include "guest-provision/session/pace.h"
#include "guest-provision/session/repeat.h"

#include <dlfcn.h>
#include <gst/app/gstappsink.h>
#include <gst/gst.h>
#include <gst/video/video.h>

/* ms; a guest without acceleration is slow to start its first frame. */
enum { FIRST_FRAME_TIME = 20000 };
/* ms: how often the encoder is given a picture that stays. */
enum { REPEAT_INTERVAL = 500 };
/* ms from one question to the host to the next: doubled where it was taken again and failed within
 * HOST_GOOD_TIME. */
enum { HOST_WAIT_LEAST = 2000, HOST_WAIT_MOST = 256000, HOST_GOOD_TIME = 60000 };

/* nal_unit_type, ITU-T H.264, table 7-1. */
enum { NAL_SPS = 7 };
/* kbit/s: x264enc's where nobody asks for another; and what may be asked for. */
enum { GUEST_BITRATE = 4000, BITRATE_LEAST = 100, BITRATE_MOST = 200000 };

typedef enum { WAY_HOST, WAY_GUEST, N_WAYS } Way;

struct SessionPipeline {
    const SessionConfig *config;
    SessionPipelineEvents events;

    /* The main thread's. */
    Way way;
    GstElement *bin;
    GstElement *encoder;
    GstElement *sink;
    SessionRepeat *repeat;
    guint bus_watch;
    guint watchdog;
    char *fallback_reason;
    const char *told_source;    /* interned; NULL: not yet */
    SessionHostWait *host_wait; /* while the guest encodes in its stead */
    guint host_wait_ms;
    gint64 started_at; /* monotonic, µs: the current way */
    int width, height;
    int bitrate;              /* kbit/s, as the viewers want it; 0: the encoder's own */
    gint64 pts_offset;        /* µs, to the current way's timestamps, */
    gint64 last_pts, last_at; /* by which they go on from the last one; monotonic: when it came */
    gboolean given_up;

    /* Atomic. */
    gint active;
    gint fps; /* at most */
    gint has_frame;
    gint pull_pending;

    GMutex lock; /* what follows */
    HxStatistics statistics;
    SessionFlow flow;
    gint64 entered_at; /* monotonic, µs: when the encoder got its latest frame */
    SessionPace pace;
};

/* --- GStreamer without a registry --------------------------------------------------------------
 */

static gboolean load_plugin(const char *name, const char *const *directories, GError **error)
{
    g_autofree char *file = g_strdup_printf("libgst%s.so", name);
    for (; *directories; directories++) {
        g_autofree char *path = g_build_filename(*directories, file, NULL);
        if (!g_file_test(path, G_FILE_TEST_EXISTS))
            continue;
        GstPlugin *plugin = gst_plugin_load_file(path, error);
        if (!plugin)
            return FALSE;
        gst_object_unref(plugin);
        return TRUE;
    }
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND, "the GStreamer plugin %s is not installed",
                file);
    return FALSE;
}

/* The environment is restored: the session's clients have GStreamer to themselves. */
static gboolean init_without_registry(GError **error)
{
    static const char *const names[] = {"GST_REGISTRY_DISABLE", "GST_PLUGIN_PATH",
                                        "GST_PLUGIN_SYSTEM_PATH"};
    static const char *const values[] = {"yes", "", ""};
    char *saved[G_N_ELEMENTS(names)];
    for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
        saved[i] = g_strdup(g_getenv(names[i]));
        g_setenv(names[i], values[i], TRUE);
    }
    gst_registry_fork_set_enabled(FALSE);
    gboolean good = gst_init_check(NULL, NULL, error);
    for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
        if (saved[i])
            g_setenv(names[i], saved[i], TRUE);
        else
            g_unsetenv(names[i]);
        g_free(saved[i]);
    }
    return good;
}

gboolean session_pipeline_init(GError **error)
{
    static const char *const needed[] = {"coreelements", "app", "pipewire", "videoparsersbad",
                                         NULL};
    static const char *const optional[] = {"vsockenc", "x264", "videoconvertscale", NULL};
    g_autoptr(GPtrArray) directories = g_ptr_array_new_with_free_func(g_free);
    g_auto(GStrv) extra = g_strsplit(g_getenv("GST_PLUGIN_PATH") ?: "", ":", -1);
    for (char **item = extra; *item; item++)
        if (**item)
            g_ptr_array_add(directories, g_strdup(*item));
    Dl_info library;
    if (dladdr((void *)(guintptr)gst_init, &library) && library.dli_fname) {
        g_autofree char *directory = g_path_get_dirname(library.dli_fname);
        g_ptr_array_add(directories, g_build_filename(directory, "gstreamer-1.0", NULL));
    }
    g_ptr_array_add(directories, NULL);

    if (!init_without_registry(error))
        return FALSE;
    const char *const *where = (const char *const *)directories->pdata;
    for (const char *const *name = needed; *name; name++)
        if (!load_plugin(*name, where, error))
            return FALSE;
    for (const char *const *name = optional; *name; name++) {
        g_autoptr(GError) cause = NULL;
        if (!load_plugin(*name, where, &cause))
            g_message("%s", cause->message);
    }
    return TRUE;
}

/* --- streaming threads -------------------------------------------------------------------------
 */

/* Before the encoder: lets pass what somebody is to see, at the session's rate. */
static GstPadProbeReturn gate(GstPad *pad, GstPadProbeInfo *info, void *data)
{
    SessionPipeline *pipeline = data;
    GstBuffer *buffer = GST_PAD_PROBE_INFO_BUFFER(info);
    gboolean idle = !g_atomic_int_get(&pipeline->active) && g_atomic_int_get(&pipeline->has_frame);
    g_mutex_lock(&pipeline->lock);
    pipeline->flow.drawn += !session_repeat_gave(buffer);
    gboolean passes = !idle && session_pace_passes(&pipeline->pace, GST_BUFFER_PTS(buffer),
                                                   g_atomic_int_get(&pipeline->fps));
    pipeline->flow.passed += passes;
    if (passes)
        pipeline->entered_at = g_get_monotonic_time();
    g_mutex_unlock(&pipeline->lock);
    return passes ? GST_PAD_PROBE_OK : GST_PAD_PROBE_DROP;
}

/* Behind the queue, which drops what the encoder is too slow for. */
static GstPadProbeReturn taken(GstPad *pad, GstPadProbeInfo *info, void *data)
{
    SessionPipeline *pipeline = data;
    g_mutex_lock(&pipeline->lock);
    pipeline->flow.taken++;
    g_mutex_unlock(&pipeline->lock);
    return GST_PAD_PROBE_OK;
}

static void pull_samples(SessionPipeline *pipeline);

static gboolean pull_in_main_thread(void *data)
{
    SessionPipeline *pipeline = data;
    g_atomic_int_set(&pipeline->pull_pending, FALSE);
    pull_samples(pipeline);
    return G_SOURCE_REMOVE;
}

static GstPadProbeReturn encoded(GstPad *pad, GstPadProbeInfo *info, void *data)
{
    SessionPipeline *pipeline = data;
    GstBuffer *buffer = GST_PAD_PROBE_INFO_BUFFER(info);
    gint64 now = g_get_monotonic_time();
    g_mutex_lock(&pipeline->lock);
    hx_statistics_add(&pipeline->statistics, gst_buffer_get_size(buffer),
                      !GST_BUFFER_FLAG_IS_SET(buffer, GST_BUFFER_FLAG_DELTA_UNIT),
                      now - pipeline->entered_at, now);
    g_mutex_unlock(&pipeline->lock);
    return GST_PAD_PROBE_OK;
}

static GstFlowReturn new_sample(GstAppSink *sink, void *data)
{
    SessionPipeline *pipeline = data;
    if (!g_atomic_int_exchange(&pipeline->pull_pending, TRUE))
        g_idle_add_full(G_PRIORITY_DEFAULT, pull_in_main_thread, pipeline, NULL);
    return GST_FLOW_OK;
}

/* --- the main thread ---------------------------------------------------------------------------
 */

/* When @buffer is to be seen, in µs.  The timestamps of each way begin anew; a viewer's go on. */
static guint64 seen_at(SessionPipeline *pipeline, GstBuffer *buffer)
{
    gint64 pts = GST_BUFFER_PTS_IS_VALID(buffer) ? (gint64)(GST_BUFFER_PTS(buffer) / 1000) : 0;
    gint64 now = g_get_monotonic_time();
    if (pipeline->last_at && !g_atomic_int_get(&pipeline->has_frame))
        pipeline->pts_offset = pipeline->last_pts + (now - pipeline->last_at) - pts;
    pipeline->last_pts = pts + pipeline->pts_offset;
    pipeline->last_at = now;
    return (guint64)pipeline->last_pts;
}

/* h264parse takes each picture of I slices for a keyframe, but gives the parameter sets, without
 * which nobody can begin, to IDR pictures alone. */
static gboolean has_parameter_sets(const GstMapInfo *unit)
{
    for (gsize i = 0; i + 3 < unit->size; i++)
        if (unit->data[i] == 0 && unit->data[i + 1] == 0 && unit->data[i + 2] == 1 &&
            (unit->data[i + 3] & 0x1f) == NAL_SPS)
            return TRUE;
    return FALSE;
}

/* Say where the frames come from, where that is not what was said last. */
static void tell_source(SessionPipeline *pipeline)
{
    g_auto(SessionPipelineStatistics) statistics = {0};
    session_pipeline_get_statistics(pipeline, &statistics);
    const char *source = g_intern_string(statistics.source);
    if (!source || source == pipeline->told_source)
        return;
    pipeline->told_source = source;
    pipeline->events.source(&statistics, pipeline->events.data);
}

static void deliver(SessionPipeline *pipeline, GstSample *sample)
{
    GstBuffer *buffer = gst_sample_get_buffer(sample);
    GstCaps *caps = gst_sample_get_caps(sample);
    GstMapInfo map;
    if (!buffer || !caps || !gst_buffer_map(buffer, &map, GST_MAP_READ))
        return;
    const GstStructure *structure = gst_caps_get_structure(caps, 0);
    gst_structure_get_int(structure, "width", &pipeline->width);
    gst_structure_get_int(structure, "height", &pipeline->height);
    guint64 pts = seen_at(pipeline, buffer);
    gboolean is_first = !g_atomic_int_exchange(&pipeline->has_frame, TRUE);
    if (is_first)
        tell_source(pipeline);
    g_clear_handle_id(&pipeline->watchdog, g_source_remove);
    SessionFrame frame = {
        .data = map.data,
        .size = map.size,
        .is_keyframe =
            !GST_BUFFER_FLAG_IS_SET(buffer, GST_BUFFER_FLAG_DELTA_UNIT) && has_parameter_sets(&map),
        .pts_us = pts,
        .width = pipeline->width,
        .height = pipeline->height,
    };
    pipeline->events.frame(&frame, pipeline->events.data);
    gst_buffer_unmap(buffer, &map);
}

static void pull_samples(SessionPipeline *pipeline)
{
    GstSample *sample;
    while (pipeline->sink &&
           (sample = gst_app_sink_try_pull_sample(GST_APP_SINK(pipeline->sink), 0))) {
        deliver(pipeline, sample);
        gst_sample_unref(sample);
    }
}

static void tear_down(SessionPipeline *pipeline)
{
    g_clear_pointer(&pipeline->host_wait, session_host_wait_free);
    g_clear_handle_id(&pipeline->watchdog, g_source_remove);
    g_clear_handle_id(&pipeline->bus_watch, g_source_remove);
    g_clear_pointer(&pipeline->repeat, session_repeat_free);
    if (pipeline->bin)
        gst_element_set_state(pipeline->bin, GST_STATE_NULL);
    while (g_idle_remove_by_data(pipeline))
        ;
    g_atomic_int_set(&pipeline->pull_pending, FALSE);
    g_clear_pointer(&pipeline->encoder, gst_object_unref);
    g_clear_pointer(&pipeline->sink, gst_object_unref);
    g_clear_pointer(&pipeline->bin, gst_object_unref);
}

static void start_way(SessionPipeline *pipeline);

/* The host answers again. */
static void return_to_host(void *data)
{
    SessionPipeline *pipeline = data;
    tear_down(pipeline);
    if (pipeline->given_up)
        return;
    g_clear_pointer(&pipeline->fallback_reason, g_free);
    pipeline->way = WAY_HOST;
    start_way(pipeline);
}

static void wait_for_host(SessionPipeline *pipeline)
{
    gint64 lasted_ms = (g_get_monotonic_time() - pipeline->started_at) / 1000;
    gboolean soon = pipeline->host_wait_ms && lasted_ms < HOST_GOOD_TIME;
    pipeline->host_wait_ms =
        soon ? MIN(pipeline->host_wait_ms * 2, HOST_WAIT_MOST) : HOST_WAIT_LEAST;
    pipeline->host_wait = session_host_wait_new(pipeline->host_wait_ms, return_to_host, pipeline);
}

/* The current way is lost for @reason. */
static void next_way(SessionPipeline *pipeline, const char *reason)
{
    tear_down(pipeline);
    if (pipeline->given_up)
        return;
    g_warning("%s", reason);
    g_free(pipeline->fallback_reason);
    pipeline->fallback_reason = g_strdup(reason);
    if (pipeline->way == WAY_GUEST || pipeline->config->encoder == SESSION_ENCODER_HOST) {
        pipeline->events.failed(reason, pipeline->events.data);
        return;
    }
    pipeline->way = WAY_GUEST;
    tell_source(pipeline);
    wait_for_host(pipeline);
    start_way(pipeline);
}

static void lose_way(SessionPipeline *pipeline, GstMessage *message)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *debug = NULL;
    gst_message_parse_error(message, &error, &debug);
    g_autofree char *reason =
        g_strdup_printf("%s: %s", GST_MESSAGE_SRC_NAME(message), error->message);
    g_debug("%s", debug ? debug : "");
    pipeline->bus_watch = 0;
    next_way(pipeline, reason);
}

static void log_warning(GstMessage *message)
{
    g_autoptr(GError) warning = NULL;
    gst_message_parse_warning(message, &warning, NULL);
    g_warning("%s: %s", GST_MESSAGE_SRC_NAME(message), warning->message);
}

static gboolean bus_message(GstBus *bus, GstMessage *message, void *data)
{
    switch (GST_MESSAGE_TYPE(message)) {
    case GST_MESSAGE_ERROR:
        lose_way(data, message);
        return G_SOURCE_REMOVE;
    case GST_MESSAGE_WARNING:
        log_warning(message);
        return G_SOURCE_CONTINUE;
    case GST_MESSAGE_ELEMENT:
        /* vsockenc posts its statistics, at once where their source has changed. */
        tell_source(data);
        return G_SOURCE_CONTINUE;
    default:
        return G_SOURCE_CONTINUE;
    }
}

static gboolean no_frame(void *data)
{
    SessionPipeline *pipeline = data;
    pipeline->watchdog = 0;
    g_autofree char *reason = g_strdup_printf("no frame came within %d s", FIRST_FRAME_TIME / 1000);
    next_way(pipeline, reason);
    return G_SOURCE_REMOVE;
}

/* The gate is to see what is repeated, too. */
static void add_probes(SessionPipeline *pipeline)
{
    GstElement *queue = gst_bin_get_by_name(GST_BIN(pipeline->bin), "queue");
    GstPad *before = gst_element_get_static_pad(queue, "sink");
    GstPad *behind = gst_element_get_static_pad(queue, "src");
    GstPad *after = gst_element_get_static_pad(pipeline->encoder, "src");
    pipeline->repeat = session_repeat_new(before, REPEAT_INTERVAL);
    gst_pad_add_probe(before, GST_PAD_PROBE_TYPE_BUFFER, gate, pipeline, NULL);
    gst_pad_add_probe(behind, GST_PAD_PROBE_TYPE_BUFFER, taken, pipeline, NULL);
    gst_pad_add_probe(after, GST_PAD_PROBE_TYPE_BUFFER, encoded, pipeline, NULL);
    gst_object_unref(after);
    gst_object_unref(behind);
    gst_object_unref(before);
    gst_object_unref(queue);
}

static int encoder_bitrate(const SessionPipeline *pipeline)
{
    return pipeline->bitrate || pipeline->way == WAY_HOST ? pipeline->bitrate : GUEST_BITRATE;
}

static char *describe(const SessionPipeline *pipeline)
{
    /* The link takes the first that both sides have.  Of many more ways to write this, few
     * negotiate. */
    static const char *const source_caps[N_WAYS] = {
        "video/x-raw(memory:DMABuf),format=DMA_DRM,drm-format=XR24;video/x-raw,format=BGRx",
        "video/x-raw",
    };
    const int bitrate = encoder_bitrate(pipeline);
    g_autofree char *encoder =
        pipeline->way == WAY_GUEST
            ? g_strdup_printf("videoconvert ! video/x-raw,format=I420 ! x264enc name=encoder "
                              "tune=zerolatency speed-preset=ultrafast key-int-max=600 bitrate=%d",
                              bitrate)
            : g_strdup_printf("vsockenc name=encoder bitrate=%d", bitrate);
    return g_strdup_printf(
        "pipewiresrc name=source target-object=" SESSION_SOURCE_NODE
        " stream-properties=p,node.name=" SESSION_SINK_NODE " ! %s ! "
        "queue name=queue leaky=downstream max-size-buffers=1 max-size-bytes=0 max-size-time=0 ! "
        "%s ! h264parse config-interval=-1 ! video/x-h264,stream-format=byte-stream,alignment=au ! "
        "appsink name=sink sync=false async=false max-buffers=8",
        source_caps[pipeline->way], encoder);
}

static void play(GstElement *element, void *data)
{
    gst_element_set_state(element, GST_STATE_PLAYING);
}

static void start_way(SessionPipeline *pipeline)
{
    static const char *const names[N_WAYS] = {"the host", "the guest"};
    g_autofree char *description = describe(pipeline);
    g_autoptr(GError) error = NULL;
    g_message("encoding by %s", names[pipeline->way]);
    GstElement *bin = gst_parse_launch_full(description, NULL, GST_PARSE_FLAG_FATAL_ERRORS, &error);
    if (!bin) {
        next_way(pipeline, error->message);
        return;
    }
    pipeline->bin = bin;
    pipeline->encoder = gst_bin_get_by_name(GST_BIN(bin), "encoder");
    pipeline->sink = gst_bin_get_by_name(GST_BIN(bin), "sink");
    GstAppSinkCallbacks callbacks = {.new_sample = new_sample};
    gst_app_sink_set_callbacks(GST_APP_SINK(pipeline->sink), &callbacks, pipeline, NULL);
    add_probes(pipeline);
    GstBus *bus = gst_element_get_bus(bin);
    pipeline->bus_watch = gst_bus_add_watch(bus, bus_message, pipeline);
    gst_object_unref(bus);
    pipeline->pace.due = GST_CLOCK_TIME_NONE;
    pipeline->started_at = g_get_monotonic_time();
    g_atomic_int_set(&pipeline->has_frame, FALSE);
    pipeline->watchdog = g_timeout_add(FIRST_FRAME_TIME, no_frame, pipeline);
    gst_element_call_async(bin, play, NULL, NULL);
}

/* --- the interface -----------------------------------------------------------------------------
 */

SessionPipeline *session_pipeline_new(const SessionConfig *config,
                                      const SessionPipelineEvents *events)
{
    SessionPipeline *pipeline = g_new0(SessionPipeline, 1);
    pipeline->config = config;
    pipeline->events = *events;
    pipeline->width = config->width;
    pipeline->height = config->height;
    pipeline->fps = config->fps;
    pipeline->bitrate = config->bitrate;
    pipeline->way = config->encoder == SESSION_ENCODER_GUEST ? WAY_GUEST : WAY_HOST;
    g_mutex_init(&pipeline->lock);
    return pipeline;
}

void session_pipeline_start(SessionPipeline *pipeline)
{
    start_way(pipeline);
}

void session_pipeline_give_up(SessionPipeline *pipeline)
{
    pipeline->given_up = TRUE;
}

void session_pipeline_free(SessionPipeline *pipeline)
{
    if (!pipeline)
        return;
    tear_down(pipeline);
    g_mutex_clear(&pipeline->lock);
    g_free(pipeline->fallback_reason);
    g_free(pipeline);
}

void session_pipeline_set_active(SessionPipeline *pipeline, gboolean active)
{
    g_atomic_int_set(&pipeline->active, active);
}

void session_pipeline_set_wish(SessionPipeline *pipeline, int fps, int bitrate)
{
    const SessionConfig *config = pipeline->config;
    int before = encoder_bitrate(pipeline);
    g_atomic_int_set(&pipeline->fps, fps > 0 ? MIN(fps, config->fps) : config->fps);
    pipeline->bitrate = bitrate > 0 ? CLAMP(bitrate, BITRATE_LEAST, BITRATE_MOST) : config->bitrate;
    if (pipeline->encoder && encoder_bitrate(pipeline) != before)
        g_object_set(pipeline->encoder, "bitrate", (guint)encoder_bitrate(pipeline), NULL);
}

void session_pipeline_force_keyframe(SessionPipeline *pipeline)
{
    if (pipeline->sink)
        gst_element_send_event(pipeline->sink, gst_video_event_new_upstream_force_key_unit(
                                                   GST_CLOCK_TIME_NONE, TRUE, 0));
}

/* What only vsockenc knows: which way its frames went, and how long the host took. */
static void ask_vsockenc(SessionPipeline *pipeline, SessionPipelineStatistics *result)
{
    g_autoptr(GstStructure) statistics = NULL;
    g_object_get(pipeline->encoder, "statistics", &statistics, NULL);
    if (!statistics)
        return;
    result->source = g_intern_string(gst_structure_get_string(statistics, "source"));
    gst_structure_get_double(statistics, "latency-p50", &result->latency.p50);
    gst_structure_get_double(statistics, "latency-p95", &result->latency.p95);
    gst_structure_get_double(statistics, "latency-p99", &result->latency.p99);
    gst_structure_get_double(statistics, "latency-max", &result->latency.max);
    const char *reason = gst_structure_get_string(statistics, "fallback-reason");
    if (reason) {
        g_free(result->fallback_reason);
        result->fallback_reason = g_strdup(reason);
    }
}

void session_pipeline_get_statistics(SessionPipeline *pipeline,
                                     SessionPipelineStatistics *ret_statistics)
{
    g_mutex_lock(&pipeline->lock);
    *ret_statistics = (SessionPipelineStatistics){
        .encoder = pipeline->way == WAY_GUEST ? "x264enc" : "vsockenc",
        .width = pipeline->width,
        .height = pipeline->height,
        .frames = pipeline->statistics.frames,
        .keyframes = pipeline->statistics.keyframes,
        .bytes = pipeline->statistics.bytes,
        .flow = pipeline->flow,
        .fps = hx_statistics_fps(&pipeline->statistics),
        .latency = hx_statistics_latency(&pipeline->statistics),
        .fallback_reason = g_strdup(pipeline->fallback_reason),
    };
    g_mutex_unlock(&pipeline->lock);
    if (pipeline->way != WAY_GUEST && pipeline->encoder)
        ask_vsockenc(pipeline, ret_statistics);
    else if (ret_statistics->frames)
        ret_statistics->source = "guest";
}

void session_pipeline_statistics_clear(SessionPipelineStatistics *statistics)
{
    g_clear_pointer(&statistics->fallback_reason, g_free);
}
