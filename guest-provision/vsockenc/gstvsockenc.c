/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The GStreamer element "vsockenc": H.264 made by the host's frame-export service.
 *
 * Theory of operation.  Each frame is one exchange in the streaming thread: request out, coded
 * picture in; the input buffer is held until then, so that the host may read it where it lies.
 *
 *   dma-buf of the virtio GPU → fence waited for → request by resource id
 *       ├─ answer → pushed; an empty one, as the picture is the last one: nothing is
 *       └─ ERROR  → the same frame by pixels; resource ids are tried again RESOURCE_RETRY later
 *   anything else → request with pixels
 *
 * The connection is made with the first frame; that it cannot be made is then an element error, by
 * which the application may take another encoder.  A connection that worked and broke is made anew
 * with each frame, which is dropped while the service is away; after the timeout that is an element
 * error too, and so is an answer that takes longer.  A new connection begins with CONFIG_REQ and a
 * keyframe. */
#include "guest-provision/vsockenc/gstvsockenc.h"

#include "guest-provision/vsockenc/picture.h"
#include "guest-provision/vsockenc/statistics.h"

GST_DEBUG_CATEGORY_STATIC(vsockenc_debug);
#define GST_CAT_DEFAULT vsockenc_debug

/* How long after a refusal resource ids are tried again. */
#define RESOURCE_RETRY (2 * G_USEC_PER_SEC)
/* Frames that may fail to be encoded one after another. */
enum { FAILURES_MAX = 5 };

struct _GstVsockEnc {
    GstVideoEncoder parent;

    /* Properties and statistics: under the object lock. */
    guint cid, port, tcp_port, bitrate, keyframe_interval, timeout;
    char *tcp_host, *socket_path;
    gboolean config_changed;
    HxStatistics statistics;
    const char *source; /* "resource", "pixels", or NULL before the first frame */
    char *fallback_reason;
    guint64 reconnects;
    guint64 unchanged; /* frames that were answered with nothing: the picture is the last one */

    /* The streaming thread's. */
    GCancellable *cancellable;
    HxFrameClient *client;
    HxResourceDevice *device;
    HxPictureFormat format;
    gint64 resource_retry_at; /* monotonic, µs; 0: at once */
    gint64 lost_at;           /* monotonic, µs: when what broke it was begun; 0 where it did not */
    gboolean ever_connected;
    gboolean want_keyframe;
    guint since_keyframe;
    guint failures;
    guint told_bitrate; /* what this connection's service was told, kbit/s; 0: nothing */
};

G_DEFINE_TYPE(GstVsockEnc, gst_vsock_enc, GST_TYPE_VIDEO_ENCODER)

enum {
    PROP_0,
    PROP_CID,
    PROP_PORT,
    PROP_TCP_HOST,
    PROP_TCP_PORT,
    PROP_SOCKET_PATH,
    PROP_BITRATE,
    PROP_KEYFRAME_INTERVAL,
    PROP_TIMEOUT,
    PROP_STATISTICS,
};

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

/* --- the connection --------------------------------------------------------------------------- */

static void disconnect(GstVsockEnc *self)
{
    g_clear_pointer(&self->client, hx_frame_client_free);
}

static HxFrameClient *new_client(GstVsockEnc *self, GError **error)
{
    GST_OBJECT_LOCK(self);
    g_autofree char *path = g_strdup(self->socket_path), *host = g_strdup(self->tcp_host);
    HxFrameAddress address = {.path = path,
                              .host = host,
                              .tcp_port = (guint16)self->tcp_port,
                              .cid = self->cid,
                              .port = self->port};
    guint timeout = self->timeout;
    self->config_changed = TRUE;
    GST_OBJECT_UNLOCK(self);
    return hx_frame_client_connect(&address, timeout, self->cancellable, error);
}

static gboolean send_config(GstVsockEnc *self, GError **error)
{
    GstVideoInfo *info = &self->format.info;
    HxfrConfigReq config = {.width = (guint32)GST_VIDEO_INFO_WIDTH(info),
                            .height = (guint32)GST_VIDEO_INFO_HEIGHT(info),
                            .realtime = 1};
    if (GST_VIDEO_INFO_FPS_N(info) > 0 && GST_VIDEO_INFO_FPS_D(info) > 0) {
        config.fps_num = (guint32)GST_VIDEO_INFO_FPS_N(info);
        config.fps_den = (guint32)GST_VIDEO_INFO_FPS_D(info);
    }
    GST_OBJECT_LOCK(self);
    gboolean changed = self->config_changed;
    self->config_changed = FALSE;
    config.bitrate = self->bitrate * 1000;
    GST_OBJECT_UNLOCK(self);
    if (config.bitrate)
        self->told_bitrate = config.bitrate / 1000;
    return !changed || hx_frame_client_configure(self->client, &config, error);
}

/* A bitrate of 0 leaves the service's as it is: its own is that of a new connection. */
static gboolean wants_own_bitrate(GstVsockEnc *self)
{
    GST_OBJECT_LOCK(self);
    gboolean wants = self->told_bitrate && !self->bitrate;
    GST_OBJECT_UNLOCK(self);
    return wants;
}

/* A connection whose service knows the current settings. */
static gboolean ensure_connected(GstVsockEnc *self, GError **error)
{
    if (self->client && wants_own_bitrate(self))
        disconnect(self);
    if (!self->client) {
        self->client = new_client(self, error);
        if (!self->client)
            return FALSE;
        self->want_keyframe = TRUE;
        self->told_bitrate = 0;
        self->resource_retry_at = 0;
        GST_OBJECT_LOCK(self);
        self->reconnects += self->ever_connected;
        GST_OBJECT_UNLOCK(self);
        self->ever_connected = TRUE;
    }
    return send_config(self, error);
}

/* --- one frame -------------------------------------------------------------------------------- */

typedef enum {
    EXCHANGE_ANSWERED,  /* with a picture or an error of the service's */
    EXCHANGE_LOST,      /* the connection is unusable */
    EXCHANGE_BAD_FRAME, /* the frame cannot be sent at all */
} Exchange;

static void set_source(GstVsockEnc *self, const char *source, const char *reason)
{
    GST_OBJECT_LOCK(self);
    if (g_strcmp0(self->source, source) != 0)
        GST_INFO_OBJECT(self, "frames go by %s%s%s", source, reason ? ": " : "",
                        reason ? reason : "");
    self->source = source;
    g_free(self->fallback_reason);
    self->fallback_reason = g_strdup(reason);
    GST_OBJECT_UNLOCK(self);
}

static Exchange send_and_receive(GstVsockEnc *self, const HxfrFrameRequest *request,
                                 const HxFramePixels *pixels, HxFrameAnswer *answer, GError **error)
{
    return hx_frame_client_send(self->client, request, pixels, error) &&
                   hx_frame_client_receive(self->client, request->pts, answer, error)
               ? EXCHANGE_ANSWERED
               : EXCHANGE_LOST;
}

/* The resource that @buffer is, or FALSE with the reason why it has to go by pixels. */
static gboolean find_resource(GstVsockEnc *self, GstBuffer *buffer, HxfrFrameRequest *request,
                              char **ret_reason)
{
    g_autoptr(GError) error = NULL;
    HxResource resource;
    int fd = hx_picture_dmabuf(&self->format, buffer, &request->stride);
    if (fd < 0) {
        *ret_reason = g_strdup("the frames are no dma-bufs");
        return FALSE;
    }
    if (!self->device && !(self->device = hx_resource_device_open(&error))) {
        *ret_reason = g_strdup(error->message);
        return FALSE;
    }
    if (!hx_picture_lookup(buffer, self->device, &resource, &error)) {
        *ret_reason = g_strdup(error->message);
        return FALSE;
    }
    request->resource_id = resource.id;
    return TRUE;
}

static Exchange by_pixels(GstVsockEnc *self, GstBuffer *buffer, HxfrFrameRequest *request,
                          const char *reason, HxFrameAnswer *answer, GError **error)
{
    g_auto(HxPictureMap) map = {.dmabuf_fd = -1};
    if (!hx_picture_map(&map, &self->format, buffer, self->device, error))
        return EXCHANGE_BAD_FRAME;
    request->resource_id = 0;
    request->stride = map.stride;
    Exchange result = send_and_receive(self, request, &map.pixels, answer, error);
    if (result == EXCHANGE_ANSWERED)
        set_source(self, "pixels", reason);
    return result;
}

static Exchange exchange(GstVsockEnc *self, GstBuffer *buffer, HxfrFrameRequest *request,
                         HxFrameAnswer *answer, GError **error)
{
    g_autofree char *reason = NULL;
    if (g_get_monotonic_time() < self->resource_retry_at) {
        GST_OBJECT_LOCK(self);
        reason = g_strdup(self->fallback_reason);
        GST_OBJECT_UNLOCK(self);
    } else if (find_resource(self, buffer, request, &reason)) {
        Exchange result = send_and_receive(self, request, NULL, answer, error);
        if (result == EXCHANGE_ANSWERED && !answer->error)
            set_source(self, "resource", NULL);
        if (result != EXCHANGE_ANSWERED || !answer->error)
            return result;
        reason = g_strdup_printf("the host could not read resource %u: %s (%d)",
                                 request->resource_id, answer->error_text, answer->error);
        GST_WARNING_OBJECT(self, "%s", reason);
        hx_frame_answer_clear(answer);
        self->resource_retry_at = g_get_monotonic_time() + RESOURCE_RETRY;
    }
    return by_pixels(self, buffer, request, reason, answer, error);
}

/* Wait until the picture is drawn.  The GPU's queue and the connection are not ordered against each
 * other. */
static gboolean wait_for_fence(GstVsockEnc *self, GstBuffer *buffer, GError **error)
{
    guint32 stride;
    int fd = hx_picture_dmabuf(&self->format, buffer, &stride);
    return fd < 0 || hx_dmabuf_wait(fd, self->timeout, error);
}

static HxfrFrameRequest make_request(GstVsockEnc *self, GstVideoCodecFrame *frame)
{
    if (GST_VIDEO_CODEC_FRAME_IS_FORCE_KEYFRAME(frame) ||
        (self->keyframe_interval && self->since_keyframe + 1 >= self->keyframe_interval))
        self->want_keyframe = TRUE;
    return (HxfrFrameRequest){
        .width = (guint32)GST_VIDEO_INFO_WIDTH(&self->format.info),
        .height = (guint32)GST_VIDEO_INFO_HEIGHT(&self->format.info),
        .format = self->format.fourcc,
        .pts = GST_CLOCK_TIME_IS_VALID(frame->pts) ? (gint64)frame->pts
                                                   : (gint64)frame->system_frame_number,
        .duration = GST_CLOCK_TIME_IS_VALID(frame->duration) ? (gint64)frame->duration : 0,
        .force_keyframe = self->want_keyframe,
    };
}

static void count_error(GstVsockEnc *self)
{
    GST_OBJECT_LOCK(self);
    self->statistics.errors++;
    GST_OBJECT_UNLOCK(self);
}

/* The frame is lost, the stream is not: the next picture must not refer to it. */
static GstFlowReturn drop(GstVsockEnc *self, GstVideoCodecFrame *frame, const GError *error)
{
    GST_WARNING_OBJECT(self, "frame dropped: %s", error->message);
    count_error(self);
    self->want_keyframe = TRUE;
    return gst_video_encoder_finish_frame(GST_VIDEO_ENCODER(self), frame);
}

static GstFlowReturn fail(GstVsockEnc *self, GstVideoCodecFrame *frame, const GError *error)
{
    gst_video_encoder_release_frame(GST_VIDEO_ENCODER(self), frame);
    if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        return GST_FLOW_FLUSHING;
    count_error(self);
    GST_ELEMENT_ERROR(self, RESOURCE, WRITE, ("The host does not encode: %s", error->message),
                      (NULL));
    return GST_FLOW_ERROR;
}

/* The connection broke, or could not be made, in what was begun @attempted. */
static GstFlowReturn lose(GstVsockEnc *self, GstVideoCodecFrame *frame, gint64 attempted,
                          const GError *error)
{
    if (!self->lost_at)
        self->lost_at = attempted;
    if (!self->ever_connected || g_cancellable_is_cancelled(self->cancellable) ||
        g_get_monotonic_time() - self->lost_at >= (gint64)self->timeout * 1000)
        return fail(self, frame, error);
    return drop(self, frame, error);
}

static GstFlowReturn finish(GstVsockEnc *self, GstVideoCodecFrame *frame, HxFrameAnswer *answer,
                            gint64 started)
{
    gint64 now = g_get_monotonic_time();
    self->lost_at = 0;
    self->failures = 0;
    if (!answer->unit) {
        GST_OBJECT_LOCK(self);
        self->unchanged++;
        GST_OBJECT_UNLOCK(self);
        return gst_video_encoder_finish_frame(GST_VIDEO_ENCODER(self), frame);
    }
    self->since_keyframe = answer->is_keyframe ? 0 : self->since_keyframe + 1;
    if (answer->is_keyframe) {
        self->want_keyframe = FALSE;
        GST_VIDEO_CODEC_FRAME_SET_SYNC_POINT(frame);
    }
    GST_OBJECT_LOCK(self);
    hx_statistics_add(&self->statistics, g_bytes_get_size(answer->unit), answer->is_keyframe,
                      now - started, now);
    GST_OBJECT_UNLOCK(self);
    frame->output_buffer = gst_buffer_new_wrapped_bytes(answer->unit);
    return gst_video_encoder_finish_frame(GST_VIDEO_ENCODER(self), frame);
}

static gboolean has_timed_out(const GError *error)
{
    return g_error_matches(error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
}

static GstFlowReturn handle_frame(GstVideoEncoder *encoder, GstVideoCodecFrame *frame)
{
    GstVsockEnc *self = GST_VSOCK_ENC(encoder);
    g_autoptr(GError) error = NULL;
    if (!wait_for_fence(self, frame->input_buffer, &error))
        return drop(self, frame, error);
    gint64 attempted = g_get_monotonic_time();
    /* A service that was restarted between two frames is met again without losing one; one that
     * does not answer is not asked twice. */
    for (int attempt = self->client ? 0 : 1; attempt < 2 && !has_timed_out(error); attempt++) {
        g_auto(HxFrameAnswer) answer = {0};
        g_clear_error(&error);
        Exchange result = EXCHANGE_LOST;
        gint64 started = 0;
        if (ensure_connected(self, &error)) {
            HxfrFrameRequest request = make_request(self, frame);
            started = g_get_monotonic_time();
            result = exchange(self, frame->input_buffer, &request, &answer, &error);
        }
        if (result == EXCHANGE_BAD_FRAME)
            return fail(self, frame, error);
        if (result == EXCHANGE_ANSWERED && !answer.error)
            return finish(self, frame, &answer, started);
        if (result == EXCHANGE_ANSWERED) {
            g_set_error(&error, G_IO_ERROR, G_IO_ERROR_FAILED, "%s (%d)", answer.error_text,
                        answer.error);
            return ++self->failures < FAILURES_MAX ? drop(self, frame, error)
                                                   : fail(self, frame, error);
        }
        disconnect(self);
    }
    return lose(self, frame, attempted, error);
}

/* --- the encoder class ------------------------------------------------------------------------ */

static gboolean start(GstVideoEncoder *encoder)
{
    GstVsockEnc *self = GST_VSOCK_ENC(encoder);
    g_cancellable_reset(self->cancellable);
    GST_OBJECT_LOCK(self);
    self->statistics = (HxStatistics){0};
    self->source = NULL;
    self->reconnects = self->unchanged = 0;
    g_clear_pointer(&self->fallback_reason, g_free);
    GST_OBJECT_UNLOCK(self);
    self->ever_connected = FALSE;
    self->lost_at = self->resource_retry_at = 0;
    self->failures = self->since_keyframe = 0;
    return TRUE;
}

static gboolean stop(GstVideoEncoder *encoder)
{
    GstVsockEnc *self = GST_VSOCK_ENC(encoder);
    disconnect(self);
    g_clear_pointer(&self->device, hx_resource_device_free);
    return TRUE;
}

static gboolean set_format(GstVideoEncoder *encoder, GstVideoCodecState *state)
{
    GstVsockEnc *self = GST_VSOCK_ENC(encoder);
    if (!hx_picture_format_from_caps(&self->format, state->caps)) {
        GST_ERROR_OBJECT(self, "caps that cannot be sent: %" GST_PTR_FORMAT, state->caps);
        return FALSE;
    }
    self->want_keyframe = TRUE;
    GST_OBJECT_LOCK(self);
    self->config_changed = TRUE;
    GST_OBJECT_UNLOCK(self);
    GstCaps *caps = gst_caps_new_simple("video/x-h264", "stream-format", G_TYPE_STRING,
                                        "byte-stream", "alignment", G_TYPE_STRING, "au", NULL);
    gst_video_codec_state_unref(gst_video_encoder_set_output_state(encoder, caps, state));
    /* One frame is in work at a time, and none is kept. */
    gst_video_encoder_set_latency(encoder, 0, 0);
    return gst_video_encoder_negotiate(encoder);
}

static gboolean propose_allocation(GstVideoEncoder *encoder, GstQuery *query)
{
    gst_query_add_allocation_meta(query, GST_VIDEO_META_API_TYPE, NULL);
    return GST_VIDEO_ENCODER_CLASS(gst_vsock_enc_parent_class)->propose_allocation(encoder, query);
}

static GstStateChangeReturn change_state(GstElement *element, GstStateChange transition)
{
    /* The streaming thread may be waiting for the host, and the parent class for that thread. */
    if (transition == GST_STATE_CHANGE_PAUSED_TO_READY)
        g_cancellable_cancel(GST_VSOCK_ENC(element)->cancellable);
    return GST_ELEMENT_CLASS(gst_vsock_enc_parent_class)->change_state(element, transition);
}

/* --- properties ------------------------------------------------------------------------------- */

static GstStructure *statistics(GstVsockEnc *self)
{
    HxLatency latency = hx_statistics_latency(&self->statistics);
    return gst_structure_new(
        "vsockenc-statistics", "source", G_TYPE_STRING, self->source, "fallback-reason",
        G_TYPE_STRING, self->fallback_reason, "frames", G_TYPE_UINT64, self->statistics.frames,
        "keyframes", G_TYPE_UINT64, self->statistics.keyframes, "bytes", G_TYPE_UINT64,
        self->statistics.bytes, "unchanged", G_TYPE_UINT64, self->unchanged, "errors",
        G_TYPE_UINT64, self->statistics.errors, "reconnects", G_TYPE_UINT64, self->reconnects,
        "fps", G_TYPE_DOUBLE, hx_statistics_fps(&self->statistics), "latency-p50", G_TYPE_DOUBLE,
        latency.p50, "latency-p95", G_TYPE_DOUBLE, latency.p95, "latency-p99", G_TYPE_DOUBLE,
        latency.p99, "latency-max", G_TYPE_DOUBLE, latency.max, NULL);
}

static void set_property(GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
    GstVsockEnc *self = GST_VSOCK_ENC(object);
    GST_OBJECT_LOCK(self);
    switch (id) {
    case PROP_CID:
        self->cid = g_value_get_uint(value);
        break;
    case PROP_PORT:
        self->port = g_value_get_uint(value);
        break;
    case PROP_TCP_HOST:
        g_free(self->tcp_host);
        self->tcp_host = g_value_dup_string(value);
        break;
    case PROP_TCP_PORT:
        self->tcp_port = g_value_get_uint(value);
        break;
    case PROP_SOCKET_PATH:
        g_free(self->socket_path);
        self->socket_path = g_value_dup_string(value);
        break;
    case PROP_BITRATE:
        self->bitrate = g_value_get_uint(value);
        self->config_changed = TRUE;
        break;
    case PROP_KEYFRAME_INTERVAL:
        self->keyframe_interval = g_value_get_uint(value);
        break;
    case PROP_TIMEOUT:
        self->timeout = g_value_get_uint(value);
        break;
    default:
        G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, pspec);
    }
    GST_OBJECT_UNLOCK(self);
}

static void get_property(GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
    GstVsockEnc *self = GST_VSOCK_ENC(object);
    GST_OBJECT_LOCK(self);
    switch (id) {
    case PROP_CID:
        g_value_set_uint(value, self->cid);
        break;
    case PROP_PORT:
        g_value_set_uint(value, self->port);
        break;
    case PROP_TCP_HOST:
        g_value_set_string(value, self->tcp_host);
        break;
    case PROP_TCP_PORT:
        g_value_set_uint(value, self->tcp_port);
        break;
    case PROP_SOCKET_PATH:
        g_value_set_string(value, self->socket_path);
        break;
    case PROP_BITRATE:
        g_value_set_uint(value, self->bitrate);
        break;
    case PROP_KEYFRAME_INTERVAL:
        g_value_set_uint(value, self->keyframe_interval);
        break;
    case PROP_TIMEOUT:
        g_value_set_uint(value, self->timeout);
        break;
    case PROP_STATISTICS:
        g_value_take_boxed(value, statistics(self));
        break;
    default:
        G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, pspec);
    }
    GST_OBJECT_UNLOCK(self);
}

static void finalize(GObject *object)
{
    GstVsockEnc *self = GST_VSOCK_ENC(object);
    g_object_unref(self->cancellable);
    g_free(self->tcp_host);
    g_free(self->socket_path);
    g_free(self->fallback_reason);
    G_OBJECT_CLASS(gst_vsock_enc_parent_class)->finalize(object);
}

/* Each has its default installed by G_PARAM_CONSTRUCT. */
static void install_uint(GObjectClass *class, guint id, const char *name, const char *nick,
                         const char *blurb, guint least, guint most, guint initial,
                         GParamFlags flags)
{
    g_object_class_install_property(
        class, id,
        g_param_spec_uint(name, nick, blurb, least, most, initial,
                          G_PARAM_READWRITE | G_PARAM_CONSTRUCT | G_PARAM_STATIC_STRINGS | flags));
}

static void install_properties(GObjectClass *class)
{
    const GParamFlags ready = GST_PARAM_MUTABLE_READY, playing = GST_PARAM_MUTABLE_PLAYING;
    install_uint(class, PROP_CID, "cid", "CID", "vsock context ID of the frame-export service", 0,
                 G_MAXUINT, 2, ready);
    install_uint(class, PROP_PORT, "port", "Port", "vsock port of the frame-export service", 0,
                 G_MAXUINT, HXFR_PORT, ready);
    g_object_class_install_property(
        class, PROP_TCP_HOST,
        g_param_spec_string("tcp-host", "TCP host",
                            "Name or address of the service, instead of vsock", NULL,
                            G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | ready));
    install_uint(class, PROP_TCP_PORT, "tcp-port", "TCP port", "TCP port, where tcp-host is set", 1,
                 65535, 15937, ready);
    g_object_class_install_property(
        class, PROP_SOCKET_PATH,
        g_param_spec_string("socket-path", "Socket path",
                            "Unix socket of the service, instead of vsock and TCP", NULL,
                            G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | ready));
    install_uint(class, PROP_BITRATE, "bitrate", "Bitrate",
                 "Bitrate in kbit/s (0: the service's own)", 0, G_MAXUINT / 1000, 0, playing);
    install_uint(class, PROP_KEYFRAME_INTERVAL, "keyframe-interval", "Keyframe interval",
                 "A keyframe at least every so many frames (0: as the service sees fit)", 0,
                 G_MAXINT, 0, playing);
    install_uint(class, PROP_TIMEOUT, "timeout", "Timeout",
                 "Longest wait, in ms, for a connection, for a frame to be drawn, for its answer, "
                 "and for a lost service to return",
                 1, G_MAXINT, 5000, playing);
    g_object_class_install_property(
        class, PROP_STATISTICS,
        g_param_spec_boxed("statistics", "Statistics",
                           "source (\"resource\" or \"pixels\"), fallback-reason, frames, "
                           "keyframes, bytes, unchanged (frames that needed no coding), errors, "
                           "reconnects, fps, and latency-p50, -p95, -p99 and -max in ms from "
                           "request to answer",
                           GST_TYPE_STRUCTURE, G_PARAM_READABLE | G_PARAM_STATIC_STRINGS));
}

static void gst_vsock_enc_class_init(GstVsockEncClass *class)
{
    GObjectClass *object_class = G_OBJECT_CLASS(class);
    GstElementClass *element_class = GST_ELEMENT_CLASS(class);
    GstVideoEncoderClass *encoder_class = GST_VIDEO_ENCODER_CLASS(class);
    object_class->set_property = set_property;
    object_class->get_property = get_property;
    object_class->finalize = finalize;
    install_properties(object_class);
    element_class->change_state = change_state;
    encoder_class->start = start;
    encoder_class->stop = stop;
    encoder_class->set_format = set_format;
    encoder_class->handle_frame = handle_frame;
    encoder_class->propose_allocation = propose_allocation;
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
    self->cancellable = g_cancellable_new();
}
