/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A stream that is taken until there is enough, and what the session tells meanwhile. */
#include "cli/stream-watch.h"

#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/stream-told.h"
#include "launcher/base/error.h"
#include "launcher/base/json.h"
#include "tests/fakes/cli-stream-server.h"

typedef struct {
    GString *bytes;
    guint ticks;
    gulong pause; /* µs, at the first tick: as if it were stopped */
    int width, height;
    HxStreamStatistics statistics;
    GError *error;
} Seen;

static gboolean keep_frame(const HxStreamFrame *frame, void *data, GError **error)
{
    Seen *seen = data;
    g_string_append_len(seen->bytes, (const char *)frame->data + 4, frame->size - 4);
    if (!memchr(frame->data, '!', frame->size))
        return TRUE;
    g_set_error_literal(error, HX_ERROR, HX_ERROR_HOST, "enough of it");
    return FALSE;
}

static void count_tick(gint64 now, void *data)
{
    Seen *seen = data;
    if (seen->ticks++ == 0)
        g_usleep(seen->pause);
}

static void keep_size(int width, int height, void *data)
{
    Seen *seen = data;
    seen->width = width;
    seen->height = height;
}

static gboolean view(StreamServer *server, double duration, gint64 interval, Seen *seen)
{
    g_autoptr(HxStreamClient) client = hx_stream_client_new(
        stream_server_start(server), STREAM_PATH, &stream_request, 5, NULL, &seen->error);
    g_assert_no_error(seen->error);
    seen->bytes = g_string_new(NULL);
    hx_stream_statistics_init(&seen->statistics);
    HxStreamWatch watch = {.duration = duration,
                           .interval = interval,
                           .frame = keep_frame,
                           .tick = count_tick,
                           .complete = keep_size,
                           .data = seen};
    gboolean good = hx_stream_watch(&watch, client, &seen->statistics, &seen->error);
    g_clear_pointer(&client, hx_stream_client_free);
    stream_server_stop(server);
    return good;
}

static void seen_clear(Seen *seen)
{
    g_string_free(seen->bytes, TRUE);
    hx_stream_statistics_clear(&seen->statistics);
    g_clear_error(&seen->error);
}

static void send_frame(SoupWebsocketConnection *connection, int flags, const char *name)
{
    g_autofree char *data = g_strconcat("0001", name, NULL);
    memcpy(data, "\0\0\0\1", 4);
    HxStreamFrame frame = {.codec = HX_STREAM_CODEC_H264,
                           .flags = flags,
                           .width = 640,
                           .height = 480,
                           .data = (guint8 *)data,
                           .size = 4 + strlen(name)};
    stream_server_send(connection, hx_stream_encode_frame(&frame));
}

/* What comes before the first keyframe is not kept. */
static void begin_stream(SoupWebsocketConnection *connection)
{
    g_autofree char *complete = hx_stream_complete_build(640, 480);
    soup_websocket_connection_send_text(connection, complete);
    send_frame(connection, 0, "early");
    send_frame(connection, HX_STREAM_FRAME_KEY, "key");
    send_frame(connection, 0, "more");
}

static void test_duration(void)
{
    StreamServer server = {.begin = begin_stream};
    Seen seen = {};
    gint64 began = g_get_monotonic_time();
    g_assert_true(view(&server, 0.5, G_USEC_PER_SEC / 10, &seen));
    g_assert_cmpint(g_get_monotonic_time() - began, >=, G_USEC_PER_SEC / 2);
    g_assert_cmpstr(seen.bytes->str, ==, "keymore");
    g_assert_cmpint(seen.width, ==, 640);
    g_assert_cmpint(seen.height, ==, 480);
    g_assert_cmpuint(seen.statistics.frames, ==, 2);
    g_assert_cmpuint(seen.statistics.keyframes, ==, 1);
    g_assert_cmpuint(seen.ticks, >=, 1);
    g_assert_cmpuint(seen.ticks, <=, 4);
    seen_clear(&seen);
}

/* What was shown to others before is kept as what is new, and counted apart. */
static void begin_late(SoupWebsocketConnection *connection)
{
    send_frame(connection, HX_STREAM_FRAME_KEY | HX_STREAM_FRAME_REPLAY, "key");
    send_frame(connection, HX_STREAM_FRAME_REPLAY, "more");
    send_frame(connection, 0, "now");
}

static void test_replay(void)
{
    StreamServer server = {.begin = begin_late};
    Seen seen = {};
    g_assert_true(view(&server, 0.3, G_USEC_PER_SEC, &seen));
    g_assert_cmpstr(seen.bytes->str, ==, "keymorenow");
    g_assert_cmpuint(seen.statistics.frames, ==, 3);
    g_assert_cmpuint(seen.statistics.replayed, ==, 2);
    seen_clear(&seen);
}

/* Rates over no time say nothing: after a pause it goes on at the interval. */
static void test_pause(void)
{
    StreamServer server = {.begin = begin_stream};
    Seen seen = {.pause = G_USEC_PER_SEC * 11 / 20};
    g_assert_true(view(&server, 1, G_USEC_PER_SEC / 10, &seen));
    g_assert_cmpuint(seen.ticks, >=, 1);
    g_assert_cmpuint(seen.ticks, <=, 6);
    seen_clear(&seen);
}

static void begin_bad(SoupWebsocketConnection *connection)
{
    send_frame(connection, HX_STREAM_FRAME_KEY, "key");
    send_frame(connection, 0, "!");
    send_frame(connection, 0, "later");
}

/* Where a frame cannot be kept, the stream ends by that. */
static void test_refused(void)
{
    StreamServer server = {.begin = begin_bad};
    Seen seen = {};
    g_assert_false(view(&server, 0, 0, &seen));
    g_assert_error(seen.error, HX_ERROR, HX_ERROR_HOST);
    g_assert_cmpstr(seen.bytes->str, ==, "key!");
    g_assert_cmpuint(seen.ticks, ==, 0);
    seen_clear(&seen);
}

static void begin_other_codec(SoupWebsocketConnection *connection)
{
    HxStreamFrame frame = {
        .codec = 2, .flags = HX_STREAM_FRAME_KEY, .data = (guint8 *)"\0\0\0\1x", .size = 5};
    stream_server_send(connection, hx_stream_encode_frame(&frame));
}

static void begin_no_annex_b(SoupWebsocketConnection *connection)
{
    HxStreamFrame frame = {.codec = HX_STREAM_CODEC_H264,
                           .flags = HX_STREAM_FRAME_KEY,
                           .data = (guint8 *)"\0\0\0\5abcde",
                           .size = 9};
    stream_server_send(connection, hx_stream_encode_frame(&frame));
}

static void test_no_h264(void)
{
    StreamServer servers[] = {{.begin = begin_other_codec}, {.begin = begin_no_annex_b}};
    for (size_t i = 0; i < G_N_ELEMENTS(servers); i++) {
        Seen seen = {};
        g_assert_false(view(&servers[i], 0, 0, &seen));
        g_assert_error(seen.error, HX_ERROR, HX_ERROR_PROTOCOL);
        g_assert_cmpuint(seen.statistics.frames, ==, 0);
        seen_clear(&seen);
    }
}

/* --- what the session tells ---------------------------------------------------------------------
 */

typedef struct {
    StreamServer servers[3];
    guint asked; /* atomic */
} Session;

/* Its first answer is none, its second one, and its third another; then it is gone. */
static int connect_next(void *data, GCancellable *cancel)
{
    Session *session = data;
    guint which = g_atomic_int_add(&session->asked, 1);
    return which < G_N_ELEMENTS(session->servers) ? stream_server_start(&session->servers[which])
                                                  : -1;
}

static void wait_until_told(HxStreamTold *told, const char *source)
{
    gint64 end = g_get_monotonic_time() + 20 * G_USEC_PER_SEC;
    for (;;) {
        g_autoptr(JsonObject) object = hx_stream_told_get(told);
        if (g_strcmp0(hx_json_string(object, "source"), source) == 0)
            return;
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(1000);
    }
}

static void test_told(void)
{
    Session session = {.servers = {{.statistics = "nonsense"},
                                   {.statistics = "{\"source\":\"resource\"}"},
                                   {.statistics = "{\"source\":\"guest\"}"}}};
    g_autoptr(HxStreamTold) told = hx_stream_told_new(connect_next, &session, 50);
    wait_until_told(told, "resource");
    wait_until_told(told, "guest");
    while (g_atomic_int_get(&session.asked) < 5)
        g_usleep(1000);
    wait_until_told(told, "guest");
    g_clear_pointer(&told, hx_stream_told_free);
    for (size_t i = 0; i < G_N_ELEMENTS(session.servers); i++)
        stream_server_stop(&session.servers[i]);
}

/* A session that does not answer holds nobody up. */
static int connect_silent(void *data, GCancellable *cancel)
{
    int ends[2];
    g_assert_no_errno(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
    *(int *)data = ends[1];
    g_cancellable_cancel(cancel);
    return ends[0];
}

static void test_silent(void)
{
    int its = -1;
    gint64 began = g_get_monotonic_time();
    HxStreamTold *told = hx_stream_told_new(connect_silent, &its, 50);
    hx_stream_told_free(told);
    g_assert_cmpint(g_get_monotonic_time() - began, <, 9 * G_USEC_PER_SEC);
    if (its >= 0)
        close(its);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    signal(SIGPIPE, SIG_IGN);
    g_test_add_func("/stream-watch/duration", test_duration);
    g_test_add_func("/stream-watch/replay", test_replay);
    g_test_add_func("/stream-watch/pause", test_pause);
    g_test_add_func("/stream-watch/refused", test_refused);
    g_test_add_func("/stream-watch/no-h264", test_no_h264);
    g_test_add_func("/stream-watch/told", test_told);
    g_test_add_func("/stream-watch/silent", test_silent);
    return g_test_run();
}
