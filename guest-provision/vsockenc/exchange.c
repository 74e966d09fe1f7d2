/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Theory of operation.  What was submitted is in a queue until it is done; it is answered in order.
 *
 *   WAITING ──▶ SENDING ──▶ SENT ──▶ ANSWERED
 *      ▲           │          │
 *      │           └──────────┼──▶ FAILED
 *      └── connection lost ───┤
 *      └── resource refused ──┘
 *
 * The submitting thread sends a frame itself where there is a connection and all frames before it
 * are sent; otherwise it leaves it WAITING.  All else is the receiving thread's: it makes and drops
 * connections, sends what waits once it is the oldest, and takes answers.  So there is one place
 * where a connection is lost, whoever noticed, and after it frames go one at a time until each has
 * been sent again.  While a thread sends, `is_sending` keeps the other from it; the lock is not
 * held then.
 *
 * A dma-buf of the virtio GPU goes by its resource id.  Where the host refuses it the same frame
 * goes by pixels, if none has been asked for after it: pictures must not change their order.  To
 * lose none, one frame goes alone where it is not known whether the host reads resources. */
#include "guest-provision/vsockenc/exchange.h"

/* How long after a refusal resource ids are tried again. */
#define RESOURCE_RETRY (2 * G_USEC_PER_SEC)
/* Frames that may be refused one after another. */
enum { REFUSALS_MAX = 5 };
/* How often a frame is sent where connections break. */
enum { ATTEMPTS_MAX = 2 };

typedef enum { WAITING, SENDING, SENT, ANSWERED, FAILED } State;

typedef struct {
    State state;
    void *frame;
    GstBuffer *buffer;
    HxPictureFormat format;
    HxfrFrameRequest request;
    gboolean is_forced; /* to be a keyframe, by who submitted it */
    guint attempts;
    gint64 sent_at; /* monotonic, µs: when its request was begun */
    char *reason;   /* why it went by pixels; NULL: it did not */
    HxFailure failure;
    GError *error; /* of the failure */
} Asked;

struct HxExchange {
    HxExchangeOptions options;
    char *path, *host; /* of options.address */
    GCancellable *cancellable;

    GMutex lock; /* for what follows, and what is in `asked` */
    GCond changed;
    GQueue asked; /* of Asked *, the oldest first */
    gboolean is_sending;
    HxfrConfigReq config;
    gboolean config_changed;
    guint keyframe_interval;
    gboolean want_keyframe;
    guint since_keyframe;     /* coded frames */
    gboolean resource_works;  /* the latest frame that went by it was read */
    gint64 resource_retry_at; /* monotonic, µs */
    char *refusal;            /* why resource ids are not tried until then */
    GError *failure;          /* what the submitting thread's sending failed for */
    guint reconnects;

    /* The one's that is sending. */
    HxResourceDevice *device;
    guint told_bitrate; /* what this connection's service was told, bit/s; 0: nothing */

    /* The receiving thread's; the other one uses the client while it is sending. */
    HxFrameClient *client;
    gboolean ever_connected;
    gint64 lost_at; /* monotonic, µs: when what broke the connection was begun; 0: it stands */
    guint refusals;
};

static gboolean is_interrupted(HxExchange *exchange)
{
    return g_cancellable_is_cancelled(exchange->cancellable);
}

static void wait_for_change(HxExchange *exchange)
{
    g_cond_wait(&exchange->changed, &exchange->lock);
}

static void asked_free(Asked *asked)
{
    gst_clear_buffer(&asked->buffer);
    g_free(asked->reason);
    g_clear_error(&asked->error);
    g_free(asked);
}

/* --- sending: without the lock, by the one that set is_sending ---------------------------------
 */

/* The resource that the frame is, or FALSE with the reason why it has to go by pixels. */
static gboolean find_resource(HxExchange *exchange, Asked *asked, char **ret_reason)
{
    g_autoptr(GError) error = NULL;
    HxResource resource;
    if (hx_picture_dmabuf(&asked->format, asked->buffer, &asked->request.stride) < 0) {
        *ret_reason = g_strdup("the frames are no dma-bufs");
        return FALSE;
    }
    if ((!exchange->device && !(exchange->device = hx_resource_device_open(&error))) ||
        !hx_picture_lookup(asked->buffer, exchange->device, &resource, &error)) {
        *ret_reason = g_strdup(error->message);
        return FALSE;
    }
    asked->request.resource_id = resource.id;
    return TRUE;
}

static gboolean send_pixels(HxExchange *exchange, Asked *asked, GError **error)
{
    g_auto(HxPictureMap) map = {.dmabuf_fd = -1};
    if (!hx_picture_map(&map, &asked->format, asked->buffer, exchange->device, error)) {
        asked->failure = HX_FAILURE_BAD_FRAME;
        return FALSE;
    }
    asked->request.resource_id = 0;
    asked->request.stride = map.stride;
    return hx_frame_client_send(exchange->client, &asked->request, &map.pixels, error);
}

/* @config is NULL where it is known; @refusal, where resource ids are not to be tried. */
static gboolean transmit(HxExchange *exchange, Asked *asked, const HxfrConfigReq *config,
                         const char *refusal, GError **error)
{
    if (config && !hx_frame_client_configure(exchange->client, config, error))
        return FALSE;
    if (config && config->bitrate)
        exchange->told_bitrate = config->bitrate;
    g_clear_pointer(&asked->reason, g_free);
    if (refusal)
        asked->reason = g_strdup(refusal);
    else if (find_resource(exchange, asked, &asked->reason))
        return hx_frame_client_send(exchange->client, &asked->request, NULL, error);
    return send_pixels(exchange, asked, error);
}

/* --- with the lock ---------------------------------------------------------------------------- */

/* Of the frames before @asked, those that are not answered yet are taken for coded. */
static gboolean is_keyframe_due(HxExchange *exchange, const Asked *asked)
{
    guint since = exchange->since_keyframe;
    for (GList *item = exchange->asked.head; item && item->data != asked; item = item->next) {
        const Asked *before = item->data;
        if (before->state != ANSWERED)
            since = before->request.force_keyframe ? 0 : since + 1;
    }
    return exchange->keyframe_interval && since + 1 >= exchange->keyframe_interval;
}

/* Send it, the lock let go meanwhile.  A connection that fails is left to the receiving thread. */
static void send_asked(HxExchange *exchange, Asked *asked)
{
    const HxfrConfigReq config = exchange->config;
    const gboolean tell = exchange->config_changed;
    g_autofree char *refusal =
        g_get_monotonic_time() < exchange->resource_retry_at ? g_strdup(exchange->refusal) : NULL;
    g_autoptr(GError) error = NULL;
    asked->request.force_keyframe =
        asked->is_forced || exchange->want_keyframe || is_keyframe_due(exchange, asked);
    exchange->want_keyframe = exchange->config_changed = FALSE;
    exchange->is_sending = TRUE;
    asked->state = SENDING;
    asked->attempts++;
    asked->sent_at = g_get_monotonic_time();
    g_mutex_unlock(&exchange->lock);
    gboolean sent = transmit(exchange, asked, tell ? &config : NULL, refusal, &error);
    g_mutex_lock(&exchange->lock);
    exchange->is_sending = FALSE;
    asked->state = asked->failure ? FAILED : SENT;
    /* What cannot be looked up now is not looked up again with each frame. */
    if (asked->format.is_dmabuf && asked->reason && !refusal) {
        g_free(exchange->refusal);
        exchange->refusal = g_strdup(asked->reason);
        exchange->resource_retry_at = g_get_monotonic_time() + RESOURCE_RETRY;
        exchange->resource_works = FALSE;
    }
    if (asked->failure) {
        asked->error = g_steal_pointer(&error);
    } else if (!sent) {
        g_clear_error(&exchange->failure);
        exchange->failure = g_steal_pointer(&error);
        hx_frame_client_shut_down(exchange->client);
    }
    g_cond_broadcast(&exchange->changed);
}

/* A bitrate of 0 leaves the service's as it is: its own is that of a new connection. */
static gboolean wants_new_connection(HxExchange *exchange)
{
    return exchange->told_bitrate && !exchange->config.bitrate;
}

static gboolean has_place(HxExchange *exchange, gboolean is_dmabuf)
{
    guint most = HX_EXCHANGE_FRAMES, open = 0;
    if (exchange->is_sending)
        return FALSE;
    if (is_dmabuf && !exchange->resource_works &&
        g_get_monotonic_time() >= exchange->resource_retry_at)
        most = 1;
    for (GList *item = exchange->asked.head; item; item = item->next) {
        const Asked *asked = item->data;
        if (asked->state == WAITING)
            return FALSE;
        open += asked->state != ANSWERED;
    }
    return open < (wants_new_connection(exchange) ? 1 : most);
}

/* --- the submitting thread -------------------------------------------------------------------- */

static Asked *asked_new(const HxPictureFormat *format, GstBuffer *buffer,
                        const HxfrFrameRequest *request, void *frame)
{
    Asked *asked = g_new0(Asked, 1);
    asked->frame = frame;
    asked->buffer = gst_buffer_ref(buffer);
    asked->format = *format;
    asked->request = *request;
    asked->request.format = format->fourcc;
    asked->is_forced = request->force_keyframe;
    return asked;
}

/* The GPU's queue and the connection are not ordered against each other. */
static void wait_until_drawn(HxExchange *exchange, Asked *asked)
{
    guint32 stride;
    int fd = hx_picture_dmabuf(&asked->format, asked->buffer, &stride);
    if (fd < 0 ||
        hx_dmabuf_wait(fd, exchange->options.timeout_ms, exchange->cancellable, &asked->error))
        return;
    asked->state = FAILED;
    asked->failure = HX_FAILURE_NOT_DRAWN;
}

gboolean hx_exchange_submit(HxExchange *exchange, const HxPictureFormat *format, GstBuffer *buffer,
                            const HxfrFrameRequest *request, void *frame)
{
    Asked *asked = asked_new(format, buffer, request, frame);
    wait_until_drawn(exchange, asked);
    g_mutex_lock(&exchange->lock);
    while (!is_interrupted(exchange) && !has_place(exchange, format->is_dmabuf))
        wait_for_change(exchange);
    gboolean taken = !is_interrupted(exchange);
    if (taken) {
        g_queue_push_tail(&exchange->asked, asked);
        if (asked->state == WAITING && exchange->client && !exchange->failure &&
            !wants_new_connection(exchange))
            send_asked(exchange, asked);
        g_cond_broadcast(&exchange->changed);
    }
    g_mutex_unlock(&exchange->lock);
    if (!taken)
        asked_free(asked);
    return taken;
}

void hx_exchange_configure(HxExchange *exchange, const HxfrConfigReq *config,
                           guint keyframe_interval)
{
    g_mutex_lock(&exchange->lock);
    if (memcmp(&exchange->config, config, sizeof *config) != 0)
        exchange->config_changed = TRUE;
    exchange->config = *config;
    exchange->keyframe_interval = keyframe_interval;
    g_mutex_unlock(&exchange->lock);
}

void hx_exchange_force_keyframe(HxExchange *exchange)
{
    g_mutex_lock(&exchange->lock);
    exchange->want_keyframe = TRUE;
    g_mutex_unlock(&exchange->lock);
}

gboolean hx_exchange_drain(HxExchange *exchange)
{
    g_mutex_lock(&exchange->lock);
    while (!is_interrupted(exchange) && exchange->asked.length)
        wait_for_change(exchange);
    gboolean drained = !exchange->asked.length;
    g_mutex_unlock(&exchange->lock);
    return drained;
}

/* --- the receiving thread, with the lock ------------------------------------------------------ */

/* The oldest frame has come to an end; @error is taken. */
static void fail(HxExchange *exchange, Asked *asked, HxFailure failure, GError *error,
                 gboolean is_fatal, HxExchangeResult *result)
{
    /* The next picture must not refer to this one. */
    exchange->want_keyframe = TRUE;
    asked->state = ANSWERED;
    result->failure = failure;
    result->error = error;
    result->is_fatal = is_fatal;
}

static gboolean is_lost_for_good(HxExchange *exchange)
{
    gint64 away = g_get_monotonic_time() - exchange->lost_at;
    return away >= (gint64)exchange->options.reconnect_ms * 1000;
}

static void disconnect(HxExchange *exchange)
{
    g_clear_pointer(&exchange->client, hx_frame_client_free);
    g_clear_error(&exchange->failure);
    g_clear_pointer(&exchange->refusal, g_free);
    exchange->told_bitrate = 0;
    exchange->resource_retry_at = 0;
    exchange->resource_works = FALSE;
    exchange->config_changed = exchange->want_keyframe = TRUE;
}

static gboolean ensure_connected(HxExchange *exchange, GError **error)
{
    if (exchange->client && !wants_new_connection(exchange))
        return TRUE;
    disconnect(exchange);
    exchange->is_sending = TRUE;
    g_mutex_unlock(&exchange->lock);
    HxFrameClient *client = hx_frame_client_connect(
        &exchange->options.address, exchange->options.timeout_ms, exchange->cancellable, error);
    g_mutex_lock(&exchange->lock);
    exchange->is_sending = FALSE;
    exchange->client = client;
    if (!client)
        return FALSE;
    exchange->reconnects += exchange->ever_connected;
    exchange->ever_connected = TRUE;
    return TRUE;
}

/* TRUE where that was the end of @asked. */
static gboolean connect_and_send(HxExchange *exchange, Asked *asked, HxExchangeResult *result)
{
    gint64 attempted = g_get_monotonic_time();
    GError *error = NULL;
    if (ensure_connected(exchange, &error)) {
        send_asked(exchange, asked);
        return FALSE;
    }
    if (is_interrupted(exchange)) {
        g_error_free(error);
        return FALSE;
    }
    if (!exchange->lost_at)
        exchange->lost_at = attempted;
    fail(exchange, asked, HX_FAILURE_UNREACHABLE, error,
         !exchange->ever_connected || is_lost_for_good(exchange), result);
    return TRUE;
}

/* The connection is unusable, as @error says, which is taken.  TRUE where that was the end of
 * @asked, the oldest; what is still to be answered otherwise is sent again. */
static gboolean lose(HxExchange *exchange, Asked *asked, GError *error, HxExchangeResult *result)
{
    /* What the other thread's sending fails for from here on is this thread's doing. */
    if (exchange->failure) {
        g_error_free(error);
        error = g_steal_pointer(&exchange->failure);
    }
    hx_frame_client_shut_down(exchange->client);
    while (exchange->is_sending)
        wait_for_change(exchange);
    if (is_interrupted(exchange)) {
        g_error_free(error);
        return FALSE;
    }
    disconnect(exchange);
    if (!exchange->lost_at)
        exchange->lost_at = asked->sent_at;
    for (GList *item = exchange->asked.head; item; item = item->next) {
        Asked *sent = item->data;
        if (sent->state == SENT)
            sent->state = WAITING;
    }
    /* One that does not answer is not asked twice. */
    const gboolean is_silent = g_error_matches(error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
    const gboolean is_fatal =
        is_silent || !exchange->options.reconnect_ms || is_lost_for_good(exchange);
    if (is_fatal || asked->attempts >= ATTEMPTS_MAX) {
        fail(exchange, asked, HX_FAILURE_LOST, error, is_fatal, result);
        return TRUE;
    }
    if (exchange->options.lost) {
        g_mutex_unlock(&exchange->lock);
        exchange->options.lost(error, exchange->options.data);
        g_mutex_lock(&exchange->lock);
    }
    g_error_free(error);
    return FALSE;
}

/* TRUE where that was the end of @asked, the oldest; otherwise it goes by pixels. */
static gboolean refuse(HxExchange *exchange, Asked *asked, HxFrameAnswer *answer,
                       HxExchangeResult *result)
{
    const gboolean for_resource = asked->request.resource_id && answer->error != HXFR_E_ENCODE;
    g_autofree char *text =
        for_resource
            ? g_strdup_printf("the host could not read resource %u: %s (%d)",
                              asked->request.resource_id, answer->error_text, answer->error)
            : g_strdup_printf("%s (%d)", answer->error_text, answer->error);
    hx_frame_answer_clear(answer);
    if (for_resource) {
        g_free(exchange->refusal);
        exchange->refusal = g_strdup(text);
        exchange->resource_retry_at = g_get_monotonic_time() + RESOURCE_RETRY;
        exchange->resource_works = FALSE;
        if (exchange->asked.length == 1) {
            exchange->want_keyframe |= asked->request.force_keyframe;
            asked->attempts--;
            asked->state = WAITING;
            return FALSE;
        }
    } else {
        exchange->refusals++;
    }
    fail(exchange, asked, HX_FAILURE_REFUSED,
         g_error_new_literal(G_IO_ERROR, G_IO_ERROR_FAILED, text),
         exchange->refusals >= REFUSALS_MAX, result);
    return TRUE;
}

static void accept_answer(HxExchange *exchange, Asked *asked, HxFrameAnswer *answer,
                          HxExchangeResult *result)
{
    exchange->lost_at = 0;
    exchange->refusals = 0;
    if (asked->request.resource_id)
        exchange->resource_works = TRUE;
    if (asked->request.force_keyframe && !answer->is_keyframe)
        exchange->want_keyframe = TRUE;
    if (answer->unit)
        exchange->since_keyframe = answer->is_keyframe ? 0 : exchange->since_keyframe + 1;
    asked->state = ANSWERED;
    result->answer = *answer;
    result->latency_us = g_get_monotonic_time() - asked->sent_at;
    result->source = asked->request.resource_id ? "resource" : "pixels";
    result->reason = g_steal_pointer(&asked->reason);
}

/* TRUE where that was the end of @asked. */
static gboolean take_answer(HxExchange *exchange, Asked *asked, HxExchangeResult *result)
{
    HxFrameAnswer answer;
    GError *error = NULL;
    g_mutex_unlock(&exchange->lock);
    gboolean answered =
        hx_frame_client_receive(exchange->client, asked->request.pts, &answer, &error);
    g_mutex_lock(&exchange->lock);
    if (!answered)
        return lose(exchange, asked, error, result);
    if (answer.error)
        return refuse(exchange, asked, &answer, result);
    accept_answer(exchange, asked, &answer, result);
    return TRUE;
}

/* One step for the oldest frame; TRUE where that was its end. */
static gboolean advance(HxExchange *exchange, Asked *asked, HxExchangeResult *result)
{
    switch (asked->state) {
    case WAITING:
        if (!exchange->is_sending)
            return connect_and_send(exchange, asked, result);
        break;
    case SENT:
        return take_answer(exchange, asked, result);
    case FAILED:
        fail(exchange, asked, asked->failure, g_steal_pointer(&asked->error),
             asked->failure == HX_FAILURE_BAD_FRAME, result);
        return TRUE;
    case SENDING:
    case ANSWERED:
        break;
    }
    wait_for_change(exchange);
    return FALSE;
}

gboolean hx_exchange_receive(HxExchange *exchange, HxExchangeResult *ret_result)
{
    gboolean ended = FALSE;
    *ret_result = (HxExchangeResult){0};
    g_mutex_lock(&exchange->lock);
    while (!ended && !is_interrupted(exchange)) {
        Asked *oldest = g_queue_peek_head(&exchange->asked);
        if (!oldest) {
            wait_for_change(exchange);
        } else if (advance(exchange, oldest, ret_result)) {
            ret_result->frame = g_steal_pointer(&oldest->frame);
            ended = TRUE;
            g_cond_broadcast(&exchange->changed);
        }
    }
    g_mutex_unlock(&exchange->lock);
    return ended;
}

void hx_exchange_done(HxExchange *exchange)
{
    g_mutex_lock(&exchange->lock);
    asked_free(g_queue_pop_head(&exchange->asked));
    g_cond_broadcast(&exchange->changed);
    g_mutex_unlock(&exchange->lock);
}

/* --- both, and neither ------------------------------------------------------------------------ */

void hx_exchange_interrupt(HxExchange *exchange)
{
    g_cancellable_cancel(exchange->cancellable);
    g_mutex_lock(&exchange->lock);
    g_cond_broadcast(&exchange->changed);
    g_mutex_unlock(&exchange->lock);
}

void hx_exchange_reset(HxExchange *exchange)
{
    Asked *asked;
    if (exchange->asked.length)
        disconnect(exchange);
    while ((asked = g_queue_pop_head(&exchange->asked))) {
        if (asked->frame && exchange->options.release_frame)
            exchange->options.release_frame(asked->frame);
        asked_free(asked);
    }
    exchange->want_keyframe = TRUE;
    g_cancellable_reset(exchange->cancellable);
}

guint hx_exchange_reconnects(HxExchange *exchange)
{
    g_mutex_lock(&exchange->lock);
    guint reconnects = exchange->reconnects;
    g_mutex_unlock(&exchange->lock);
    return reconnects;
}

void hx_exchange_result_clear(HxExchangeResult *result)
{
    hx_frame_answer_clear(&result->answer);
    g_clear_pointer(&result->reason, g_free);
    g_clear_error(&result->error);
}

HxExchange *hx_exchange_new(const HxExchangeOptions *options)
{
    HxExchange *exchange = g_new0(HxExchange, 1);
    exchange->options = *options;
    exchange->options.address.path = exchange->path = g_strdup(options->address.path);
    exchange->options.address.host = exchange->host = g_strdup(options->address.host);
    exchange->cancellable = g_cancellable_new();
    exchange->config_changed = exchange->want_keyframe = TRUE;
    g_mutex_init(&exchange->lock);
    g_cond_init(&exchange->changed);
    g_queue_init(&exchange->asked);
    return exchange;
}

void hx_exchange_free(HxExchange *exchange)
{
    if (!exchange)
        return;
    hx_exchange_reset(exchange);
    disconnect(exchange);
    g_clear_pointer(&exchange->device, hx_resource_device_free);
    g_object_unref(exchange->cancellable);
    g_mutex_clear(&exchange->lock);
    g_cond_clear(&exchange->changed);
    g_free(exchange->path);
    g_free(exchange->host);
    g_free(exchange);
}
