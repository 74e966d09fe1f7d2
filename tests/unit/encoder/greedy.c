/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Clients that take what they can get: what they cost helixvm-encoder, and the client beside them.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "launcher/base/fd.h"
#include "tests/fakes/encoder-client.h"
#include "tests/fakes/resident.h"

#define GREEDY 4
#define FRAMES 40
#define MIB 1024
/* What AddressSanitizer takes beside a service that is built with it; main() has it keep little. */
#define SANITISER_KIB (64 * MIB)

static const HxfrFrameRequest REQUEST = {
    .width = 640, .height = 360, .format = HXFR_FORMAT_XR24, .stride = 640 * 4};

static int compare(const void *a, const void *b)
{
    gint64 left = *(const gint64 *)a, right = *(const gint64 *)b;
    return (left > right) - (left < right);
}

/* The median time of an ordinary client's frame, µs. */
static gint64 frame_time(int fd)
{
    gint64 times[FRAMES];
    for (guint i = 0; i < FRAMES; i++) {
        gint64 start = g_get_monotonic_time();
        test_send_pattern(fd, 1, 0, &REQUEST, i);
        test_expect_frame(fd, 1, NULL);
        times[i] = g_get_monotonic_time() - start;
    }
    qsort(times, FRAMES, sizeof times[0], compare);
    return times[FRAMES / 2];
}

/* The service takes no more than @most_kib beside the @before that it had. */
static void assert_memory(const TestService *service, gint64 before, gint64 most_kib)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/maps", service->pid), *maps = NULL;
    g_assert_true(g_file_get_contents(path, &maps, NULL, NULL));
    gint64 memory = resident_kib(service->pid) - before;
    g_test_message("they take %.1f MiB", (double)memory / MIB);
    g_assert_cmpint(memory, <, most_kib + (strstr(maps, "libasan") ? SANITISER_KIB : 0));
}

typedef struct {
    TestService *service;
    int fd;
    GByteArray *bytes; /* what it sends again and again */
    gboolean reads;    /* its answers */
    gint stop;         /* atomic */
    GThread *thread;
} Greedy;

/* Each time a new connection, which ends somewhere within the message. */
static void *run_halves(void *data)
{
    Greedy *greedy = data;
    for (gsize size = 1; !g_atomic_int_get(&greedy->stop); size = size % greedy->bytes->len + 1) {
        hx_autofd int fd = test_connect(greedy->service);
        send(fd, greedy->bytes->data, size, MSG_NOSIGNAL);
    }
    return NULL;
}

static void *run_greedy(void *data)
{
    Greedy *greedy = data;
    gsize sent = 0;
    char answers[65536];
    while (!g_atomic_int_get(&greedy->stop)) {
        ssize_t n = send(greedy->fd, greedy->bytes->data + sent, greedy->bytes->len - sent,
                         MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno != EAGAIN)
            break;
        if (n > 0)
            sent = (sent + (gsize)n) % greedy->bytes->len;
        while (greedy->reads && recv(greedy->fd, answers, sizeof answers, MSG_DONTWAIT) > 0)
            ;
        if (n < 0)
            g_usleep(200);
    }
    return NULL;
}

static void append_header(GByteArray *bytes, guint8 type, guint8 flags, guint32 payload_size)
{
    guint8 header[HXFR_HEADER_SIZE];
    hxfr_encode_header(header, &(HxfrHeader){type, flags, 2, payload_size});
    g_byte_array_append(bytes, header, sizeof header);
}

/* Let GREEDY clients @run with @bytes for as long as an ordinary one needs for its frames, and see
 * what that takes it, and what memory the service. */
static void assert_bounded(TestService *service, GThreadFunc run, GByteArray *bytes, gboolean reads,
                           gint64 most_memory_kib)
{
    Greedy greedy[GREEDY];
    hx_autofd int fd = test_connect(service);
    frame_time(fd);
    gint64 alone = frame_time(fd);
    gint64 before = resident_kib(service->pid);
    for (guint i = 0; i < GREEDY; i++) {
        greedy[i] = (Greedy){service, test_connect(service), bytes, reads, FALSE, NULL};
        greedy[i].thread = g_thread_new("greedy", run, &greedy[i]);
    }
    gint64 beside = frame_time(fd);
    assert_memory(service, before, most_memory_kib);
    for (guint i = 0; i < GREEDY; i++) {
        g_atomic_int_set(&greedy[i].stop, 1);
        g_thread_join(greedy[i].thread);
        close(greedy[i].fd);
    }
    g_test_message("a frame takes %.1f ms alone, %.1f ms beside %d others", (double)alone / 1000,
                   (double)beside / 1000, GREEDY);
    /* All share the cores with the clients themselves: each of them has its part, and no more. */
    g_assert_cmpint(beside, <, (GREEDY + 1) * 2 * alone + 50 * G_TIME_SPAN_MILLISECOND);
    g_byte_array_unref(bytes);
}

/* As many as it can, and no look at the answers. */
static void test_flood(TestService *service, const void *data)
{
    GByteArray *bytes = g_byte_array_new();
    append_header(bytes, HXFR_PING, 0, 0);
    assert_bounded(service, run_greedy, bytes, FALSE, 8 * MIB);
}

/* The same with all answers taken: it never ends. */
static void test_endless(TestService *service, const void *data)
{
    GByteArray *bytes = g_byte_array_new();
    append_header(bytes, HXFR_PING, 0, 0);
    assert_bounded(service, run_greedy, bytes, TRUE, 8 * MIB);
}

/* Requests for the largest picture there can be: no memory is taken for one that does not come. */
static void test_largest(TestService *service, const void *data)
{
    GByteArray *bytes = g_byte_array_new();
    guint8 request[HXFR_FRAME_REQUEST_SIZE + 64] = {0};
    const HxfrFrameRequest largest = {.width = HXFR_DIMENSION_MAX,
                                      .height = HXFR_DIMENSION_MAX,
                                      .format = HXFR_FORMAT_NV12,
                                      .stride = HXFR_DIMENSION_MAX};
    hxfr_encode_frame_request(request, 2, HXFR_FLAG_PIXELS, &largest, 64);
    g_byte_array_append(bytes, request, sizeof request);
    HxfrFrameRequest resource = largest;
    resource.resource_id = 7;
    hxfr_encode_frame_request(request, 2, 0, &resource, 0);
    g_byte_array_append(bytes, request, HXFR_FRAME_REQUEST_SIZE);
    assert_bounded(service, run_greedy, bytes, TRUE, 8 * MIB);
}

/* Messages that are broken off, of any length, one after another. */
static void test_halves(TestService *service, const void *data)
{
    GByteArray *bytes = g_byte_array_new();
    guint8 request[HXFR_FRAME_REQUEST_SIZE + 44] = {0};
    hxfr_encode_frame_request(request, 2, HXFR_FLAG_PIXELS, &REQUEST, 640 * 360 * 4);
    g_byte_array_append(bytes, request, sizeof request);
    assert_bounded(service, run_halves, bytes, FALSE, 8 * MIB);
}

/* 64 MiB are announced, by some that send no more than half of a line and by some that send on:
 * what has come is kept, no more. */
static void test_claims(TestService *service, const void *data)
{
    int fds[GREEDY];
    guint8 request[HXFR_FRAME_REQUEST_SIZE + 1000] = {0};
    const HxfrFrameRequest large = {
        .width = 4096, .height = 4096, .format = HXFR_FORMAT_XR24, .stride = 4096 * 4};
    hxfr_encode_frame_request(request, 2, HXFR_FLAG_PIXELS, &large, HXFR_PIXELS_MAX);
    for (guint i = 0; i < GREEDY; i++) {
        fds[i] = test_connect(service);
        test_send(fds[i], request, sizeof request);
    }
    GByteArray *bytes = g_byte_array_new();
    g_byte_array_append(bytes, request, sizeof request);
    assert_bounded(service, run_greedy, bytes, FALSE, (GREEDY + 1) * 64 * MIB);
    for (guint i = 0; i < GREEDY; i++)
        close(fds[i]);
}

/* More connections than sessions are possible: they end at once, and those that are there stay. */
static void test_connections(TestService *service, const void *data)
{
    int fds[64];
    hx_autofd int fd = test_connect(service);
    frame_time(fd);
    gint64 before = resident_kib(service->pid);
    for (guint i = 0; i < G_N_ELEMENTS(fds); i++)
        fds[i] = test_connect(service);
    test_expect_end(fds[G_N_ELEMENTS(fds) - 1]);
    assert_memory(service, before, 8 * MIB);
    frame_time(fd);
    for (guint i = 0; i < G_N_ELEMENTS(fds); i++)
        close(fds[i]);
}

/* Wait for the end of the stream, whatever comes before it. */
static void await_end(int fd)
{
    char bytes[4096];
    const struct timeval patience = {.tv_sec = 120};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ssize_t n;
    while ((n = recv(fd, bytes, sizeof bytes, 0)) > 0)
        ;
    if (n < 0)
        g_assert_cmpint(errno, !=, EAGAIN);
}

/* Connections that owe the rest of a message, or do not take their answers, end after a while, and
 * one that is idle stays. */
static void test_stalled(TestService *service, const void *data)
{
    guint8 request[HXFR_FRAME_REQUEST_SIZE];
    hx_autofd int idle = test_connect(service);
    hx_autofd int owing = test_connect(service);
    hx_autofd int deaf = test_connect(service);
    hxfr_encode_frame_request(request, 1, HXFR_FLAG_PIXELS, &REQUEST, 640 * 360 * 4);
    test_send(owing, request, sizeof request);
    GByteArray *pings = g_byte_array_new();
    append_header(pings, HXFR_PING, 0, 0);
    Greedy greedy = {service, deaf, pings, FALSE, FALSE, NULL};
    run_greedy(&greedy); /* until it is shut out */
    await_end(owing);
    test_send_pattern(idle, 1, 0, &REQUEST, 0);
    test_expect_frame(idle, 1, NULL);
    g_byte_array_unref(pings);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    const char *given = g_getenv("ASAN_OPTIONS");
    g_autofree char *options =
        g_strconcat(given ? given : "", given ? ":" : "", "quarantine_size_mb=4", NULL);
    g_setenv("ASAN_OPTIONS", options, TRUE);
#define ADD(name, function)                                                                        \
    g_test_add("/greedy/" name, TestService, NULL, test_service_set_up, function,                  \
               test_service_tear_down)
    ADD("flood", test_flood);
    ADD("endless", test_endless);
    ADD("largest", test_largest);
    ADD("halves", test_halves);
    ADD("claims", test_claims);
    ADD("connections", test_connections);
    if (g_test_slow()) /* -m slow: half a minute of waiting */
        ADD("stalled", test_stalled);
    return g_test_run();
}
