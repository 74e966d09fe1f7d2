/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The GStreamer element "vsockenc": H.264 made by the host's frame-export service.
 *
 * Theory of operation.  The streaming thread submits frames to the exchange (exchange.h), which has
 * two of them on their way; the task of the source pad receives coded pictures as they come, and
 * pushes them.  The input buffer is held until then, so that the host may read it where it lies.
 * The encoder's stream lock is let go wherever either thread waits for the host.
 *
 * What ends the stream, an error or what downstream answers, interrupts the exchange: then both
 * threads return from whatever they wait for, and frames are refused with `flow` until a flush or a
 * new start.  A flush interrupts it in the same way.
 *
 * The connection is made with the first frame; that it cannot be made is then an element error, by
 * which the application may take another encoder.  A connection that worked and broke is made anew
 * with each frame, which is dropped while the service is away; after the reconnect timeout that is
 * an element error too, and so is an answer that takes longer than the timeout.  What the stream
 * goes on after is a warning on the bus: the first of such frames, and a change from resources to
 * pixels. */
#include "guest-provision/vsockenc/gstvsockenc.h"

#include "guest-provision/vsockenc/exchange.h"
#include "guest-provision/vsockenc/settings.h"
#include "guest-provision/vsockenc/statistics.h"

GST_DEBUG_CATEGORY_STATIC(vsockenc_debug);
#define GST_CAT_DEFAULT vsockenc_debug

/* Since GStreamer 1.26.  Before, a frame that needs no coding counts as dropped. */
#pragma weak gst_video_encoder_release_frame

struct _GstVsockEnc {
    GstVideoEncoder parent;

    /* Under the object lock. */
    HxSettings settings;
    HxStatistics statistics;
    const char *source; /* "resource", "pixels", or NULL before the first frame */
    char *fallback_reason;
    guint64 unchanged; /* frames that were answered with nothing: the picture is the last one */
    guint reconnects;
    gint64 posted_at; /* monotonic, µs: the latest message with them */

    HxExchange *exchange; /* from start to stop */
    gint stopping;        /* atomic: it stays interrupted */

    /* Under the encoder's stream lock. */
    HxPictureFormat format;
    GstFlowReturn flow;  /* what frames are answered with */
    gboolean is_failing; /* the latest frame was dropped */
};

G_DEFINE_TYPE(GstVsockEnc, gst_vsock_enc, GST_TYPE_VIDEO_ENCODER)

enum { PROP_STATISTICS = HX_SETTINGS_END };

/* Frames a second where caps tell none. */
enum { UNKNOWN_RATE = 25 };

/* Linear, and what has no modifier: only the device knows its layout, and the host asks it. */
#define DRM_FORMATS                                                                                \
    "{ XR24, AR24, XB24, AB24, XR24:0x00ffffffffffffff, AR24:0x00ffffffffffffff, "                 \
    "XB24:0x00ffffffffffffff, AB24:0x00ffffffffffffff }"
#define SIZES "width = [ 1, 8192 ], height = [ 1, 8192 ], framerate = (fraction) [ 0, max ]"

static GstStaticPadTemplate sink_template = GST_STATIC_PAD_TEMPLATE(
    "sink", GST_PAD_SINK, GST_PAD_ALWAYS,
    GST_STATIC_CAPS("video/x-raw(memory:DMABuf), format = DMA_DRM, drm-format = " DRM_FORMATS
                    ", " SIZES "; video/x-raw, format = { BGRx, BGRA, RGBx, RGBA, NV12 }, " SIZES));
static GstStaticPadTemplate src_template = GST_STATIC_PAD_TEMPLATE(
    "src", GST_PAD_SRC, GST_PAD_ALWAYS,
    GST_STATIC_CAPS("video/x-h264, stream-format = byte-stream, alignment = au, " SIZES));

/* --- statistics ------------------------------------------------------------------------------- */

/* With the object lock. */
static GstStructure *describe_statistics(GstVsockEnc *self)
{
    HxLatency latency = hx_statistics_latency(&self->statistics);
    return gst_structure_new(
        "vsockenc-statistics", "source", G_TYPE_STRING, self->source, "fallback-reason",
        G_TYPE_STRING, self->fallback_reason, "frames", G_TYPE_UINT64, self->statistics.frames,
        "keyframes", G_TYPE_UINT64, self->statistics.keyframes, "bytes", G_TYPE_UINT64,
        self->statistics.bytes, "unchanged", G_TYPE_UINT64, self->unchanged, "errors",
        G_TYPE_UINT64, self->statistics.errors, "reconnects", G_TYPE_UINT64,
        (guint64)self->reconnects, "fps", G_TYPE_DOUBLE, hx_statistics_fps(&self->statistics),
        "latency-p50", G_TYPE_DOUBLE, latency.p50, "latency-p95", G_TYPE_DOUBLE, latency.p95,
        "latency-p99", G_TYPE_DOUBLE, latency.p99, "latency-max", G_TYPE_DOUBLE, latency.max, NULL);
}

/* TRUE where frames go by pixels now that went by their resource, or were the first. */
static gboolean count_frame(GstVsockEnc *self, const HxExchangeResult *result)
{
    const gint64 now = g_get_monotonic_time();
    GstStructure *told = NULL;
    GST_OBJECT_LOCK(self);
    gboolean changed = self->source != result->source;
    self->source = result->source;
    g_free(self->fallback_reason);
    self->fallback_reason = g_strdup(result->reason);
    self->reconnects = hx_exchange_reconnects(self->exchange);
    if (result->answer.unit)
        hx_statistics_add(&self->statistics, g_bytes_get_size(result->answer.unit),
                          result->answer.is_keyframe, result->latency_us, now);
    else
        self->unchanged++;
    const gint64 interval = (gint64)self->settings.statistics_interval * 1000;
    if (interval && (changed || now - self->posted_at >= interval)) {
        self->posted_at = now;
        told = describe_statistics(self);
    }
    GST_OBJECT_UNLOCK(self);
    if (told)
        gst_element_post_message(GST_ELEMENT(self),
                                 gst_message_new_element(GST_OBJECT(self), told));
    return changed && result->reason;
}

static void count_error(GstVsockEnc *self)
{
    GST_OBJECT_LOCK(self);
    self->statistics.errors++;
    self->reconnects = hx_exchange_reconnects(self->exchange);
    GST_OBJECT_UNLOCK(self);
}

/* --- what comes back: the task of the source pad ---------------------------------------------- */

static void post_failure(GstVsockEnc *self, const HxExchangeResult *result)
{
    const char *cause = result->error->message;
    switch (result->failure) {
    case HX_FAILURE_UNREACHABLE:
        GST_ELEMENT_ERROR(self, RESOURCE, OPEN_READ_WRITE, ("The host does not encode: %s", cause),
                          (NULL));
        break;
    case HX_FAILURE_REFUSED:
        GST_ELEMENT_ERROR(self, STREAM, ENCODE, ("The host does not encode: %s", cause), (NULL));
        break;
    case HX_FAILURE_BAD_FRAME:
        GST_ELEMENT_ERROR(self, STREAM, FORMAT, ("The frame cannot be sent to the host: %s", cause),
                          (NULL));
        break;
    default:
        GST_ELEMENT_ERROR(self, RESOURCE, READ, ("The host does not encode: %s", cause), (NULL));
        break;
    }
}

/* The first of those that are dropped one after another is told. */
static void post_drop(GstVsockEnc *self, const HxExchangeResult *result)
{
    const char *cause = result->error->message;
    GST_INFO_OBJECT(self, "frame dropped: %s", cause);
    if (self->is_failing)
        return;
    self->is_failing = TRUE;
    if (result->failure == HX_FAILURE_REFUSED)
        GST_ELEMENT_WARNING(self, STREAM, ENCODE, ("A frame is lost: %s", cause), (NULL));
    else
        GST_ELEMENT_WARNING(self, RESOURCE, READ, ("A frame is lost: %s", cause), (NULL));
}

/* In the task's thread, between a frame's two attempts. */
static void connection_lost(const GError *cause, void *data)
{
    GstVsockEnc *self = data;
    GST_ELEMENT_WARNING(self, RESOURCE, READ,
                        ("The connection to the host broke, and is made again: %s", cause->message),
                        (NULL));
}

/* The frame has gone; nothing is pushed for it. */
static GstFlowReturn release(GstVsockEnc *self, GstVideoCodecFrame *frame)
{
#if GST_CHECK_VERSION(1, 26, 0)
    if (gst_video_encoder_release_frame) {
        gst_video_encoder_release_frame(GST_VIDEO_ENCODER(self), frame);
        return GST_FLOW_OK;
    }
#endif
    return gst_video_encoder_finish_frame(GST_VIDEO_ENCODER(self), frame);
}

static GstFlowReturn drop(GstVsockEnc *self, GstVideoCodecFrame *frame,
                          const HxExchangeResult *result)
{
    count_error(self);
    if (result->is_fatal)
        post_failure(self, result);
    else
        post_drop(self, result);
    GstFlowReturn flow = gst_video_encoder_finish_frame(GST_VIDEO_ENCODER(self), frame);
    return result->is_fatal ? GST_FLOW_ERROR : flow;
}

static GstFlowReturn push(GstVsockEnc *self, GstVideoCodecFrame *frame,
                          const HxExchangeResult *result)
{
    self->is_failing = FALSE;
    if (count_frame(self, result) && self->format.is_dmabuf)
        GST_ELEMENT_WARNING(self, RESOURCE, READ,
                            ("Frames go to the host pixel by pixel: %s", result->reason), (NULL));
    if (!result->answer.unit)
        return release(self, frame);
    if (result->answer.is_keyframe)
        GST_VIDEO_CODEC_FRAME_SET_SYNC_POINT(frame);
    frame->output_buffer = gst_buffer_new_wrapped_bytes(result->answer.unit);
    return gst_video_encoder_finish_frame(GST_VIDEO_ENCODER(self), frame);
}

static void receive(void *data)
{
    GstVsockEnc *self = data;
    GstVideoEncoder *encoder = GST_VIDEO_ENCODER(self);
    g_auto(HxExchangeResult) result = {0};
    if (!hx_exchange_receive(self->exchange, &result)) {
        gst_pad_pause_task(GST_VIDEO_ENCODER_SRC_PAD(encoder));
        return;
    }
    GST_VIDEO_ENCODER_STREAM_LOCK(encoder);
    self->flow =
        result.failure ? drop(self, result.frame, &result) : push(self, result.frame, &result);
    gboolean ended = self->flow != GST_FLOW_OK;
    GST_VIDEO_ENCODER_STREAM_UNLOCK(encoder);
    hx_exchange_done(self->exchange);
    if (ended)
        hx_exchange_interrupt(self->exchange);
}

/* --- what goes out: the streaming thread, with the stream lock -------------------------------- */

/* Whether the service takes it: what it refuses has an ERROR of its own, in no frame's place. */
static gboolean is_frame_rate(int n, int d)
{
    enum { TERM_MAX = 1000000, MAX = 1000 };
    return n > 0 && d > 0 && n <= TERM_MAX && d <= TERM_MAX && n / d <= MAX && d / n <= MAX;
}

static void configure(GstVsockEnc *self)
{
    const GstVideoInfo *info = &self->format.info;
    HxfrConfigReq config = {.width = (guint32)GST_VIDEO_INFO_WIDTH(info),
                            .height = (guint32)GST_VIDEO_INFO_HEIGHT(info),
                            .realtime = 1};
    if (is_frame_rate(GST_VIDEO_INFO_FPS_N(info), GST_VIDEO_INFO_FPS_D(info))) {
        config.fps_num = (guint32)GST_VIDEO_INFO_FPS_N(info);
        config.fps_den = (guint32)GST_VIDEO_INFO_FPS_D(info);
    }
    GST_OBJECT_LOCK(self);
    if (self->settings.bitrate)
        config.bitrate = MAX(self->settings.bitrate, HX_BITRATE_LEAST) * 1000;
    guint keyframe_interval = self->settings.keyframe_interval;
    GST_OBJECT_UNLOCK(self);
    hx_exchange_configure(self->exchange, &config, keyframe_interval);
}

static GstFlowReturn handle_frame(GstVideoEncoder *encoder, GstVideoCodecFrame *frame)
{
    GstVsockEnc *self = GST_VSOCK_ENC(encoder);
    const HxfrFrameRequest request = {
        .width = (guint32)GST_VIDEO_INFO_WIDTH(&self->format.info),
        .height = (guint32)GST_VIDEO_INFO_HEIGHT(&self->format.info),
        .pts = GST_CLOCK_TIME_IS_VALID(frame->pts) ? (gint64)frame->pts
                                                   : (gint64)frame->system_frame_number,
        .duration = GST_CLOCK_TIME_IS_VALID(frame->duration) ? (gint64)frame->duration : 0,
        .force_keyframe = GST_VIDEO_CODEC_FRAME_IS_FORCE_KEYFRAME(frame),
    };
    configure(self);
    /* A frame that is done may be freed by the task before the call returns. */
    GST_VIDEO_ENCODER_STREAM_UNLOCK(encoder);
    gst_pad_start_task(GST_VIDEO_ENCODER_SRC_PAD(encoder), receive, self, NULL);
    gboolean taken =
        hx_exchange_submit(self->exchange, &self->format, frame->input_buffer, &request, frame);
    GST_VIDEO_ENCODER_STREAM_LOCK(encoder);
    if (taken)
        return self->flow;
    gst_video_codec_frame_unref(frame);
    return self->flow == GST_FLOW_OK ? GST_FLOW_FLUSHING : self->flow;
}

/* Wait until all that came in has gone out. */
static GstFlowReturn drain(GstVsockEnc *self)
{
    GST_VIDEO_ENCODER_STREAM_UNLOCK(self);
    gboolean drained = hx_exchange_drain(self->exchange);
    GST_VIDEO_ENCODER_STREAM_LOCK(self);
    return !drained && self->flow == GST_FLOW_OK ? GST_FLOW_FLUSHING : self->flow;
}

static GstFlowReturn finish(GstVideoEncoder *encoder)
{
    return drain(GST_VSOCK_ENC(encoder));
}

/* --- the encoder class ------------------------------------------------------------------------ */

static void release_frame(void *frame)
{
    gst_video_codec_frame_unref(frame);
}

static gboolean start(GstVideoEncoder *encoder)
{
    GstVsockEnc *self = GST_VSOCK_ENC(encoder);
    GST_OBJECT_LOCK(self);
    const HxSettings *settings = &self->settings;
    /* Where the last start came to nothing, there was no stop. */
    hx_exchange_free(self->exchange);
    self->exchange = hx_exchange_new(&(HxExchangeOptions){
        .address = {.path = settings->socket_path,
                    .host = settings->tcp_host,
                    .tcp_port = (guint16)settings->tcp_port,
                    .cid = settings->cid,
                    .port = settings->port},
        .timeout_ms = settings->timeout,
        .reconnect_ms = settings->reconnect_timeout,
        .lost = connection_lost,
        .data = self,
        .release_frame = release_frame,
    });
    self->statistics = (HxStatistics){0};
    self->source = NULL;
    self->unchanged = self->reconnects = 0;
    self->posted_at = 0;
    g_clear_pointer(&self->fallback_reason, g_free);
    GST_OBJECT_UNLOCK(self);
    g_atomic_int_set(&self->stopping, FALSE);
    self->flow = GST_FLOW_OK;
    self->is_failing = FALSE;
    return TRUE;
}

static gboolean stop(GstVideoEncoder *encoder)
{
    GstVsockEnc *self = GST_VSOCK_ENC(encoder);
    gst_pad_stop_task(GST_VIDEO_ENCODER_SRC_PAD(encoder));
    g_clear_pointer(&self->exchange, hx_exchange_free);
    return TRUE;
}

/* The frames that are given up are those of before: the streaming thread is in here. */
static gboolean flush(GstVideoEncoder *encoder)
{
    GstVsockEnc *self = GST_VSOCK_ENC(encoder);
    hx_exchange_interrupt(self->exchange);
    GST_VIDEO_ENCODER_STREAM_UNLOCK(encoder);
    gst_pad_stop_task(GST_VIDEO_ENCODER_SRC_PAD(encoder));
    GST_VIDEO_ENCODER_STREAM_LOCK(encoder);
    hx_exchange_reset(self->exchange);
    self->flow = GST_FLOW_OK;
    if (g_atomic_int_get(&self->stopping))
        hx_exchange_interrupt(self->exchange);
    return TRUE;
}

/* The time from one frame to the next; the least of them where they come when something changes. */
static GstClockTime frame_time(const GstVideoInfo *info, GstCaps *caps)
{
    int n = GST_VIDEO_INFO_FPS_N(info), d = GST_VIDEO_INFO_FPS_D(info);
    if (n <= 0 &&
        !gst_structure_get_fraction(gst_caps_get_structure(caps, 0), "max-framerate", &n, &d))
        n = 0;
    if (n <= 0 || d <= 0)
        return GST_SECOND / UNKNOWN_RATE;
    return gst_util_uint64_scale(GST_SECOND, (guint64)d, (guint64)n);
}

/* While one frame is encoded the next may be read: it comes out one frame late then. */
static void tell_latency(GstVsockEnc *self, GstCaps *caps)
{
    const GstClockTime frame = frame_time(&self->format.info, caps);
    gst_video_encoder_set_latency(GST_VIDEO_ENCODER(self), frame * (HX_EXCHANGE_FRAMES - 1),
                                  frame * HX_EXCHANGE_FRAMES);
}

/* Those on their way have the caps before. */
static void begin_format(GstVsockEnc *self, const HxPictureFormat *format)
{
    drain(self);
    self->format = *format;
    hx_exchange_force_keyframe(self->exchange);
}

static gboolean set_format(GstVideoEncoder *encoder, GstVideoCodecState *state)
{
    GstVsockEnc *self = GST_VSOCK_ENC(encoder);
    HxPictureFormat format;
    if (!hx_picture_format_from_caps(&format, state->caps)) {
        GST_ERROR_OBJECT(self, "caps that cannot be sent: %" GST_PTR_FORMAT, state->caps);
        return FALSE;
    }
    begin_format(self, &format);
    GstCaps *caps = gst_caps_new_simple("video/x-h264", "stream-format", G_TYPE_STRING,
                                        "byte-stream", "alignment", G_TYPE_STRING, "au", NULL);
    gst_video_codec_state_unref(gst_video_encoder_set_output_state(encoder, caps, state));
    tell_latency(self, state->caps);
    return gst_video_encoder_negotiate(encoder);
}

/* To the parent class, caps that differ from those before in nothing but drm-format are the same.
 */
static void look_at_drm_format(GstVsockEnc *self, GstCaps *caps)
{
    HxPictureFormat format;
    GST_VIDEO_ENCODER_STREAM_LOCK(self);
    if (hx_picture_format_from_caps(&format, caps) && format.fourcc != self->format.fourcc)
        begin_format(self, &format);
    GST_VIDEO_ENCODER_STREAM_UNLOCK(self);
}

static gboolean propose_allocation(GstVideoEncoder *encoder, GstQuery *query)
{
    gst_query_add_allocation_meta(query, GST_VIDEO_META_API_TYPE, NULL);
    return GST_VIDEO_ENCODER_CLASS(gst_vsock_enc_parent_class)->propose_allocation(encoder, query);
}

static gboolean sink_event(GstVideoEncoder *encoder, GstEvent *event)
{
    GstVsockEnc *self = GST_VSOCK_ENC(encoder);
    g_autoptr(GstCaps) caps = NULL;
    if (GST_EVENT_TYPE(event) == GST_EVENT_FLUSH_START)
        hx_exchange_interrupt(self->exchange);
    if (GST_EVENT_TYPE(event) == GST_EVENT_CAPS) {
        gst_event_parse_caps(event, &caps);
        gst_caps_ref(caps);
    }
    gboolean taken =
        GST_VIDEO_ENCODER_CLASS(gst_vsock_enc_parent_class)->sink_event(encoder, event);
    if (taken && caps)
        look_at_drm_format(self, caps);
    return taken;
}

/* Upstream wants its buffers back. */
static gboolean sink_query(GstVideoEncoder *encoder, GstQuery *query)
{
    if (GST_QUERY_TYPE(query) == GST_QUERY_DRAIN) {
        GST_VIDEO_ENCODER_STREAM_LOCK(encoder);
        drain(GST_VSOCK_ENC(encoder));
        GST_VIDEO_ENCODER_STREAM_UNLOCK(encoder);
    }
    return GST_VIDEO_ENCODER_CLASS(gst_vsock_enc_parent_class)->sink_query(encoder, query);
}

static GstStateChangeReturn change_state(GstElement *element, GstStateChange transition)
{
    GstVsockEnc *self = GST_VSOCK_ENC(element);
    /* Both threads may be waiting for the host, and the parent class for them. */
    if (transition == GST_STATE_CHANGE_PAUSED_TO_READY) {
        g_atomic_int_set(&self->stopping, TRUE);
        hx_exchange_interrupt(self->exchange);
    }
    return GST_ELEMENT_CLASS(gst_vsock_enc_parent_class)->change_state(element, transition);
}

/* --- the object ------------------------------------------------------------------------------- */

static void set_property(GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
    GstVsockEnc *self = GST_VSOCK_ENC(object);
    GST_OBJECT_LOCK(self);
    if (!hx_settings_set(&self->settings, id, value))
        G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, pspec);
    GST_OBJECT_UNLOCK(self);
}

static void get_property(GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
    GstVsockEnc *self = GST_VSOCK_ENC(object);
    GST_OBJECT_LOCK(self);
    if (id == PROP_STATISTICS)
        g_value_take_boxed(value, describe_statistics(self));
    else if (!hx_settings_get(&self->settings, id, value))
        G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, pspec);
    GST_OBJECT_UNLOCK(self);
}

static void finalize(GObject *object)
{
    GstVsockEnc *self = GST_VSOCK_ENC(object);
    hx_exchange_free(self->exchange);
    hx_settings_clear(&self->settings);
    g_free(self->fallback_reason);
    G_OBJECT_CLASS(gst_vsock_enc_parent_class)->finalize(object);
}

static void gst_vsock_enc_class_init(GstVsockEncClass *class)
{
    GObjectClass *object_class = G_OBJECT_CLASS(class);
    GstElementClass *element_class = GST_ELEMENT_CLASS(class);
    GstVideoEncoderClass *encoder_class = GST_VIDEO_ENCODER_CLASS(class);
    object_class->set_property = set_property;
    object_class->get_property = get_property;
    object_class->finalize = finalize;
    hx_settings_install(object_class);
    g_object_class_install_property(
        object_class, PROP_STATISTICS,
        g_param_spec_boxed(
            "statistics", "Statistics",
            "source (\"resource\" or \"pixels\"), fallback-reason, frames, keyframes, bytes, "
            "unchanged (frames that needed no coding), errors, reconnects, fps, and latency-p50, "
            "-p95, -p99 and -max in ms from request to answer; as a message every "
            "statistics-interval, too",
            GST_TYPE_STRUCTURE, G_PARAM_READABLE | G_PARAM_STATIC_STRINGS));
    element_class->change_state = change_state;
    encoder_class->start = start;
    encoder_class->stop = stop;
    encoder_class->flush = flush;
    encoder_class->finish = finish;
    encoder_class->set_format = set_format;
    encoder_class->handle_frame = handle_frame;
    encoder_class->propose_allocation = propose_allocation;
    encoder_class->sink_event = sink_event;
    encoder_class->sink_query = sink_query;
    gst_element_class_add_static_pad_template(element_class, &sink_template);
    gst_element_class_add_static_pad_template(element_class, &src_template);
    gst_element_class_set_static_metadata(
        element_class, "Host H.264 encoder", "Codec/Encoder/Video",
        "Encodes on the virtual machine's host, which reads dma-bufs of the virtio GPU by itself",
        "helixvm");
    GST_DEBUG_CATEGORY_INIT(vsockenc_debug, "vsockenc", 0, "host H.264 encoder");
}

static void gst_vsock_enc_init(GstVsockEnc *self)
{
}
