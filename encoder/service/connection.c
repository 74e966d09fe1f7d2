/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Theory of operation.  Two threads serve a connection.  The intake thread reads one message after
 * another, gets a frame's pixels and converts them; the output thread encodes and sends.  Between
 * them go jobs, of which there are JOBS and no more: while one frame is encoded the next is read
 * and converted, and a client that sends faster than it is served waits in its own socket buffer.
 * All answers take that one way, so that they leave in the order of the requests.
 *
 * The intake thread ends with the stream, with a message after which it cannot be followed, or when
 * the output thread, unable to send, shuts the socket down.  The last job tells the output thread
 * to end, which tells the main thread.
 *
 * A serial port (hx_connection_start()) has no end of the stream between its clients.  One that
 * stops within a message leaves a gap in which the next one's first bytes would be lost: after
 * SERIAL_SILENCE_MS the rest is no longer waited for, and the next message begins at the next
 * header, found by HXFR's magic, of which type and size fit each other. */
#include "encoder/service/connection.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>

#include "encoder/protocol.h"
#include "encoder/service/incoming.h"
#include "encoder/service/session.h"
#include "launcher/base/fd.h"
#include "launcher/base/log.h"

#define JOBS 2
#define STALL_TIMEOUT_S 30
#define SERIAL_SILENCE_MS 500
#define COMPLAINTS_MAX 100

typedef enum {
    JOB_ANSWER,   /* a whole message, ready to go */
    JOB_FRAME,    /* a picture to encode */
    JOB_KEYFRAME, /* no answer */
    JOB_CONFIG,   /* no answer, but an ERROR */
    JOB_END,
} JobKind;

typedef struct {
    JobKind kind;
    HxSession *session; /* NULL for JOB_ANSWER and JOB_END */
    uint8_t flags;
    gboolean from_resource;
    HxfrFrameRequest request;
    HxfrConfigReq config;
    HxPicture picture;
    gint64 stage_us[HX_STAGE_COUNT];
    gint64 ready_at;
    uint8_t answer[HXFR_ERROR_SIZE]; /* the longest of them */
    size_t answer_size;
} Job;

struct HxConnection {
    HxConnectionContext *context;
    int fd;
    char *peer;
    gboolean is_serial;
    gboolean is_lost; /* the intake thread's: the next header is looked for, an ERROR has said so */
    GThread *intake;
    GThread *output;
    Job jobs[JOBS];
    GAsyncQueue *free_jobs;
    GAsyncQueue *work;

    HxIncoming incoming; /* the intake thread's */

    GMutex lock;          /* for sessions: added to by the intake thread, read by the main thread */
    GPtrArray *sessions;  /* few: HxSession */
    gboolean send_failed; /* the output thread's */
    GSource *ended;       /* attached by the output thread as its last act */
};

void hx_connection_complain(HxConnectionContext *context, const char *peer, const char *what)
{
    /* A guest must not fill the host's disk with lines. */
    gint n = g_atomic_int_add(&context->complaints, 1);
    if (n < COMPLAINTS_MAX)
        hx_log_warning("%s: %s", peer, what);
    else if (n == COMPLAINTS_MAX)
        hx_log_warning("further complaints about clients are not logged");
}

static void complain(HxConnection *connection, const char *what)
{
    hx_connection_complain(connection->context, connection->peer, what);
}

/* --- intake
 * ---------------------------------------------------------------------------------------- */

static Job *begin_job(HxConnection *connection, JobKind kind, HxSession *session)
{
    Job *job = g_async_queue_pop(connection->free_jobs);
    job->kind = kind;
    job->session = session;
    memset(job->stage_us, 0, sizeof job->stage_us);
    return job;
}

static void submit(HxConnection *connection, Job *job)
{
    g_async_queue_push(connection->work, job);
}

static void make_error(Job *job, guint16 session_id, HxfrErrorCode code, const char *message)
{
    job->kind = JOB_ANSWER;
    hxfr_encode_error(job->answer, session_id, code, message);
    job->answer_size = HXFR_ERROR_SIZE;
    if (job->session)
        hx_session_count_error(job->session);
}

static void answer_error(HxConnection *connection, HxSession *session, guint16 session_id,
                         HxfrErrorCode code, const char *message)
{
    Job *job = begin_job(connection, JOB_ANSWER, session);
    make_error(job, session_id, code, message);
    submit(connection, job);
}

/* Serial: those of the clients that were there before.  The intake thread's. */
static void end_sessions(HxConnection *connection)
{
    Job *jobs[JOBS];
    /* With all jobs here the output thread has none, and so no session. */
    for (size_t i = 0; i < JOBS; i++)
        jobs[i] = g_async_queue_pop(connection->free_jobs);
    g_mutex_lock(&connection->lock);
    g_atomic_int_add(&connection->context->n_sessions, -(gint)connection->sessions->len);
    g_ptr_array_set_size(connection->sessions, 0);
    g_mutex_unlock(&connection->lock);
    for (size_t i = 0; i < JOBS; i++)
        g_async_queue_push(connection->free_jobs, jobs[i]);
}

static gboolean take_place(HxConnectionContext *context)
{
    if (g_atomic_int_add(&context->n_sessions, 1) < context->max_sessions)
        return TRUE;
    g_atomic_int_add(&context->n_sessions, -1);
    return FALSE;
}

/* NULL where there are too many. */
static HxSession *get_session(HxConnection *connection, guint16 id)
{
    HxConnectionContext *context = connection->context;
    /* The intake thread alone changes the array: it may read it without the lock. */
    for (guint i = 0; i < connection->sessions->len; i++) {
        HxSession *session = connection->sessions->pdata[i];
        if (hx_session_id(session) == id)
            return session;
    }
    gboolean has_place = take_place(context);
    if (!has_place && connection->is_serial) {
        end_sessions(connection);
        has_place = take_place(context);
    }
    if (!has_place)
        return NULL;
    HxSession *session = hx_session_new(id, context->encoders, &context->defaults);
    g_mutex_lock(&connection->lock);
    g_ptr_array_add(connection->sessions, session);
    g_mutex_unlock(&connection->lock);
    return session;
}

static gint64 lap(gint64 *since)
{
    gint64 now = g_get_monotonic_time();
    gint64 elapsed = now - *since;
    *since = now;
    return elapsed;
}

typedef struct {
    HxfrErrorCode code; /* 0: none */
    const char *message;
} Failure;

static Failure convert_resource(HxConnection *connection, Job *job)
{
    HxfrFrameRequest *request = &job->request;
    HxModulePicture source;
    gint64 clock = g_get_monotonic_time();
    int r = hx_module_client_read(connection->context->module, request, &source);
    job->stage_us[HX_STAGE_READ] = lap(&clock);
    switch (r) {
    case 0:
        break;
    case -ENOENT:
        return (Failure){HXFR_E_NOT_FOUND, "no such resource"};
    case -ENOTCONN:
        return (Failure){HXFR_E_UNREADABLE, "resources cannot be read: no module in QEMU"};
    case -EFBIG:
        return (Failure){HXFR_E_UNREADABLE, "the resource is too large"};
    default:
        return (Failure){HXFR_E_UNREADABLE, "the resource cannot be read"};
    }
    /* A request may ask for the upper left part of a resource; 0 is all of it. */
    uint32_t width = request->width ?: source.width;
    uint32_t height = request->height ?: source.height;
    if (width > source.width || height > source.height)
        r = -ERANGE;
    else
        r = hx_picture_convert(&job->picture, source.format, source.pixels, width, height,
                               source.stride);
    hx_module_client_release(connection->context->module, &source);
    job->stage_us[HX_STAGE_CONVERT] = lap(&clock);
    if (r == -ERANGE)
        return (Failure){HXFR_E_INVALID, "the resource is smaller than the frame"};
    return r < 0 ? (Failure){HXFR_E_INTERNAL, "out of memory"} : (Failure){0};
}

static Failure convert_pixels(HxConnection *connection, Job *job, const uint8_t *pixels,
                              size_t size)
{
    const HxfrFrameRequest *request = &job->request;
    size_t needed =
        hxfr_pixels_size(request->format, request->width, request->height, request->stride);
    if (!needed)
        return (Failure){HXFR_E_INVALID, "bad format, size or stride of the pixels"};
    if (needed > size)
        return (Failure){HXFR_E_INVALID, "fewer pixels than format, size and stride tell"};
    gint64 clock = g_get_monotonic_time();
    int r = hx_picture_convert(&job->picture, request->format, pixels, request->width,
                               request->height, request->stride);
    job->stage_us[HX_STAGE_CONVERT] = lap(&clock);
    return r < 0 ? (Failure){HXFR_E_INTERNAL, "out of memory"} : (Failure){0};
}

static void handle_frame(HxConnection *connection, const HxfrHeader *header, gint64 receive_us)
{
    const size_t fixed = HXFR_FRAME_REQUEST_SIZE - HXFR_HEADER_SIZE;
    HxSession *session = get_session(connection, header->session_id);
    if (!session) {
        answer_error(connection, NULL, header->session_id, HXFR_E_INTERNAL, "too many sessions");
        return;
    }
    Job *job = begin_job(connection, JOB_FRAME, session);
    job->flags = header->flags;
    hxfr_decode_frame_request(connection->incoming.payload, header->payload_size, &job->request);
    job->from_resource = !(header->flags & HXFR_FLAG_PIXELS);
    job->stage_us[HX_STAGE_READ] = receive_us;
    Failure failure = job->from_resource
                          ? convert_resource(connection, job)
                          : convert_pixels(connection, job, connection->incoming.payload + fixed,
                                           header->payload_size - fixed);
    if (failure.code)
        make_error(job, header->session_id, failure.code, failure.message);
    job->ready_at = g_get_monotonic_time();
    submit(connection, job);
}

static void handle_setting(HxConnection *connection, const HxfrHeader *header)
{
    HxSession *session = get_session(connection, header->session_id);
    if (!session) {
        answer_error(connection, NULL, header->session_id, HXFR_E_INTERNAL, "too many sessions");
        return;
    }
    Job *job = begin_job(connection, JOB_KEYFRAME, session);
    if (header->type == HXFR_CONFIG_REQ) {
        job->kind = JOB_CONFIG;
        hxfr_decode_config_req(connection->incoming.payload, header->payload_size, &job->config);
    }
    submit(connection, job);
}

static void handle_scanout(HxConnection *connection, const HxfrHeader *header)
{
    uint32_t scanout = 0;
    hxfr_decode_scanout_id(connection->incoming.payload, header->payload_size, &scanout);
    Job *job = begin_job(connection, JOB_ANSWER, NULL);
    if (header->type == HXFR_SUBSCRIBE) {
        hxfr_encode_subscribe_refusal(job->answer, header->session_id, scanout);
        job->answer_size = HXFR_SUBSCRIBE_RESP_SIZE;
    } else {
        hxfr_encode_scanout_refusal(job->answer, header->session_id, scanout);
        job->answer_size = HXFR_SCANOUT_RESP_SIZE;
    }
    complain(connection, "asked for a scanout; the service has none");
    submit(connection, job);
}

/* A message of which header and payload are whole and fit each other. */
static void handle_message(HxConnection *connection, const HxfrHeader *header, gint64 receive_us)
{
    switch (header->type) {
    case HXFR_FRAME_REQUEST:
        handle_frame(connection, header, receive_us);
        break;
    case HXFR_KEYFRAME_REQ:
    case HXFR_CONFIG_REQ:
        handle_setting(connection, header);
        break;
    case HXFR_PING: {
        if (connection->is_serial)
            end_sessions(connection);
        Job *job = begin_job(connection, JOB_ANSWER, NULL);
        hxfr_encode_empty(job->answer, HXFR_PONG, header->session_id);
        job->answer_size = HXFR_HEADER_SIZE;
        submit(connection, job);
        break;
    }
    case HXFR_ENABLE_SCANOUT:
    case HXFR_DISABLE_SCANOUT:
    case HXFR_SUBSCRIBE:
        handle_scanout(connection, header);
        break;
    default:
        answer_error(connection, NULL, header->session_id, HXFR_E_INVALID, "unknown message type");
        break;
    }
}

/* Serial: the message that was under way, or was none, has its ERROR. */
static void lose(HxConnection *connection, guint16 session_id, const char *message)
{
    if (!connection->is_lost) {
        complain(connection, message);
        answer_error(connection, NULL, session_id, HXFR_E_INVALID, message);
        end_sessions(connection);
    }
    connection->is_lost = TRUE;
}

/* As hx_incoming_header(). */
static int read_header(HxConnection *connection, HxfrHeader *ret_header)
{
    uint8_t bytes[HXFR_HEADER_SIZE];
    int r = hx_incoming_header(&connection->incoming, bytes, ret_header);
    if (connection->is_serial && (r == -EBADMSG || r == -EMSGSIZE)) {
        lose(connection, 0, "not an HXFR message");
        r = hx_incoming_find_header(&connection->incoming, bytes, ret_header);
    }
    return r;
}

/* A message of which the rest does not come, or that is none; FALSE when the stream has ended or
 * cannot be followed any more. */
static gboolean go_on_after(HxConnection *connection, int failure, guint16 session_id)
{
    switch (failure) {
    case -EBADMSG:
    case -EMSGSIZE: {
        const char *message = failure == -EBADMSG ? "not an HXFR message" : "bad payload size";
        complain(connection, message);
        answer_error(connection, NULL, session_id, HXFR_E_INVALID, message);
        return FALSE;
    }
    case -ETIMEDOUT:
        if (connection->is_serial)
            lose(connection, session_id, "stalled within a message");
        else
            complain(connection, "stalled within a message");
        return connection->is_serial;
    case -EPIPE:
        complain(connection, "ended within a message");
        return FALSE;
    case -ENOMEM:
        complain(connection, "no memory for its message");
        return FALSE;
    default:
        return FALSE;
    }
}

/* False when the stream has ended or cannot be followed any more. */
static gboolean take_message(HxConnection *connection)
{
    HxfrHeader header = {0};
    int r = read_header(connection, &header);
    gint64 clock = g_get_monotonic_time();
    if (r == 0)
        r = hx_incoming_payload(&connection->incoming, header.payload_size);
    if (r < 0)
        return go_on_after(connection, r, header.session_id);
    connection->is_lost = FALSE;
    handle_message(connection, &header, lap(&clock));
    return TRUE;
}

static void *run_intake(void *data)
{
    HxConnection *connection = data;
    while (take_message(connection))
        ;
    submit(connection, begin_job(connection, JOB_END, NULL));
    return NULL;
}

/* --- output
 * ---------------------------------------------------------------------------------------- */

static void send_parts(HxConnection *connection, struct iovec *parts, size_t n_parts)
{
    while (n_parts && !connection->send_failed) {
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = n_parts};
        ssize_t sent = sendmsg(connection->fd, &message, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0) {
            if (errno == EAGAIN)
                complain(connection, "takes no answers");
            connection->send_failed = TRUE;
            shutdown(connection->fd, SHUT_RDWR);
            return;
        }
        size_t left = (size_t)sent;
        while (n_parts && left >= parts->iov_len) {
            left -= parts->iov_len;
            parts++;
            n_parts--;
        }
        if (n_parts) {
            parts->iov_base = (uint8_t *)parts->iov_base + left;
            parts->iov_len -= left;
        }
    }
}

static void send_answer(HxConnection *connection, Job *job)
{
    struct iovec part = {job->answer, job->answer_size};
    send_parts(connection, &part, 1);
}

/* The client is gone, or takes no answers. */
static void drop_frame(HxConnection *connection, Job *job)
{
    hx_session_count_dropped(job->session);
    g_atomic_int_inc(&connection->context->dropped);
}

static void encode_frame(HxConnection *connection, Job *job)
{
    HxAccessUnit unit;
    gint64 clock = job->ready_at;
    job->stage_us[HX_STAGE_QUEUE] = lap(&clock);
    int r = hx_session_encode(job->session, &job->picture, job->request.force_keyframe,
                              job->flags & HXFR_FLAG_MAY_BE_EMPTY, &unit);
    job->stage_us[HX_STAGE_ENCODE] = lap(&clock);
    if (r < 0) {
        make_error(job, hx_session_id(job->session), HXFR_E_ENCODE,
                   r == -EINVAL ? "no encoder for frames of that size" : "the encoder failed");
        send_answer(connection, job);
        return;
    }
    HxfrFrameResponse response = {
        .pts = job->request.pts,
        .dts = job->request.pts,
        .is_keyframe = unit.is_keyframe,
    };
    uint8_t head[HXFR_FRAME_RESPONSE_ONE_SIZE];
    hxfr_encode_frame_response(head, hx_session_id(job->session), &response, (uint32_t)unit.size);
    struct iovec parts[] = {
        {head, unit.size ? HXFR_FRAME_RESPONSE_ONE_SIZE : HXFR_FRAME_RESPONSE_SIZE},
        {(void *)unit.data, unit.size},
    };
    send_parts(connection, parts, unit.size ? 2 : 1);
    job->stage_us[HX_STAGE_SEND] = lap(&clock);
    if (connection->send_failed)
        drop_frame(connection, job);
    else
        hx_session_count_frame(job->session, job->stage_us, unit.size, unit.is_keyframe,
                               job->from_resource);
}

static void configure(HxConnection *connection, Job *job)
{
    if (hx_session_configure(job->session, &job->config) == 0)
        return;
    make_error(job, hx_session_id(job->session), HXFR_E_INVALID, "bad bitrate or frame rate");
    send_answer(connection, job);
}

static gboolean on_ended(void *data)
{
    HxConnection *connection = data;
    connection->context->ended(connection, connection->context->data);
    return G_SOURCE_REMOVE;
}

static void *run_output(void *data)
{
    HxConnection *connection = data;
    for (gboolean more = TRUE; more;) {
        Job *job = g_async_queue_pop(connection->work);
        if (connection->send_failed && job->kind == JOB_FRAME) {
            drop_frame(connection, job);
        } else if (!connection->send_failed || job->kind == JOB_END) {
            switch (job->kind) {
            case JOB_ANSWER:
                send_answer(connection, job);
                break;
            case JOB_FRAME:
                encode_frame(connection, job);
                break;
            case JOB_KEYFRAME:
                hx_session_force_keyframe(job->session);
                break;
            case JOB_CONFIG:
                configure(connection, job);
                break;
            case JOB_END:
                more = FALSE;
                break;
            }
        }
        g_async_queue_push(connection->free_jobs, job);
    }
    shutdown(connection->fd, SHUT_RDWR);
    g_source_attach(connection->ended, NULL);
    return NULL;
}

/* --- life
 * ------------------------------------------------------------------------------------------- */

HxConnection *hx_connection_start(HxConnectionContext *context, int fd, const char *peer,
                                  gboolean is_serial)
{
    HxConnection *connection = g_new0(HxConnection, 1);
    connection->context = context;
    connection->fd = fd;
    connection->incoming.fd = fd;
    connection->peer = g_strdup(peer);
    connection->is_serial = is_serial;
    connection->free_jobs = g_async_queue_new();
    connection->work = g_async_queue_new();
    for (size_t i = 0; i < JOBS; i++)
        g_async_queue_push(connection->free_jobs, &connection->jobs[i]);
    connection->sessions = g_ptr_array_new_with_free_func((GDestroyNotify)hx_session_free);
    g_mutex_init(&connection->lock);
    connection->ended = g_idle_source_new();
    g_source_set_callback(connection->ended, on_ended, connection, NULL);
    const struct timeval stall = {.tv_sec = STALL_TIMEOUT_S};
    const struct timeval silence = {.tv_usec = SERIAL_SILENCE_MS * 1000};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, is_serial ? &silence : &stall, sizeof stall);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &stall, sizeof stall);
    connection->output = g_thread_new("output", run_output, connection);
    connection->intake = g_thread_new("intake", run_intake, connection);
    return connection;
}

void hx_connection_stop(HxConnection *connection)
{
    shutdown(connection->fd, SHUT_RDWR);
}

void hx_connection_free(HxConnection *connection)
{
    if (!connection)
        return;
    g_thread_join(connection->intake);
    g_thread_join(connection->output);
    g_source_destroy(connection->ended);
    g_source_unref(connection->ended);
    g_atomic_int_add(&connection->context->n_sessions, -(gint)connection->sessions->len);
    g_ptr_array_unref(connection->sessions);
    for (size_t i = 0; i < JOBS; i++)
        hx_picture_clear(&connection->jobs[i].picture);
    g_async_queue_unref(connection->free_jobs);
    g_async_queue_unref(connection->work);
    g_mutex_clear(&connection->lock);
    hx_close(&connection->fd);
    hx_incoming_clear(&connection->incoming);
    g_free(connection->peer);
    g_free(connection);
}

void hx_connection_describe(HxConnection *connection, JsonBuilder *builder)
{
    g_mutex_lock(&connection->lock);
    for (guint i = 0; i < connection->sessions->len; i++) {
        json_builder_begin_object(builder);
        json_builder_set_member_name(builder, "connection");
        json_builder_add_string_value(builder, connection->peer);
        hx_session_describe(connection->sessions->pdata[i], builder);
        json_builder_end_object(builder);
    }
    g_mutex_unlock(&connection->lock);
}
