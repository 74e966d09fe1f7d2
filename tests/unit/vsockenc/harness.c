/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The element between two pads, against a service that the test plays: when what is asked for and
 * pushed, events, queries, messages, and what is held how long.  element.c has it in pipelines,
 * against the real service. */
#include "guest-provision/vsockenc/gstvsockenc.h"

#include "tests/fakes/vsockenc-service.h"

#include <gst/allocators/gstdmabuf.h>
#include <gst/check/gstharness.h>
#include <gst/video/video.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

enum { WIDTH = 16, HEIGHT = 8, STRIDE = WIDTH * 4, UNIT = 100 };
#define FRAME (GST_SECOND / 25)
#define CAPS "video/x-raw,format=BGRx,width=16,height=8,framerate=25/1"
#define DMABUF_CAPS                                                                                \
    "video/x-raw(memory:DMABuf),format=DMA_DRM,drm-format=%s,width=16,height=8,framerate=25/1"
/* ms in which nothing comes that should not come. */
enum { QUIET = 100 };

typedef struct {
    FakeService service;
    GstHarness *harness;
    GstElement *element;
    GstBus *bus;
    gint held; /* atomic: buffers that were given and are not released */
} Fixture;

static void set_up(Fixture *fixture, gconstpointer caps)
{
    fake_service_start(&fixture->service);
    fixture->element = gst_element_factory_make("vsockenc", "encoder");
    g_object_set(fixture->element, "socket-path", fixture->service.path, NULL);
    fixture->bus = gst_bus_new();
    gst_element_set_bus(fixture->element, fixture->bus);
    fixture->harness = gst_harness_new_with_element(fixture->element, "sink", "src");
    if (caps)
        gst_harness_set_src_caps_str(fixture->harness, caps);
}

static void tear_down(Fixture *fixture, gconstpointer caps)
{
    gst_harness_teardown(fixture->harness);
    gst_element_set_bus(fixture->element, NULL);
    gst_bus_set_flushing(fixture->bus, TRUE);
    gst_object_unref(fixture->bus);
    gst_object_unref(fixture->element);
    fake_service_stop(&fixture->service);
    g_assert_cmpint(g_atomic_int_get(&fixture->held), ==, 0);
}

static void buffer_released(void *data, GstMiniObject *buffer)
{
    g_atomic_int_add((gint *)data, -1);
}

/* A property that only a start takes. */
static void start_again(Fixture *fixture, const char *property, guint value, const char *caps)
{
    gst_element_set_state(fixture->element, GST_STATE_READY);
    g_object_set(fixture->element, property, value, NULL);
    gst_harness_play(fixture->harness);
    gst_harness_set_src_caps_str(fixture->harness, caps);
}

static GstBuffer *new_frame(Fixture *fixture, guint n)
{
    GstBuffer *buffer = gst_buffer_new_allocate(NULL, STRIDE * HEIGHT, NULL);
    gst_buffer_memset(buffer, 0, (guint8)n, STRIDE * HEIGHT);
    GST_BUFFER_PTS(buffer) = n * FRAME;
    GST_BUFFER_DURATION(buffer) = FRAME;
    g_atomic_int_inc(&fixture->held);
    gst_mini_object_weak_ref(GST_MINI_OBJECT(buffer), buffer_released, &fixture->held);
    return buffer;
}

static void push(Fixture *fixture, guint n)
{
    g_assert_cmpint(gst_harness_push(fixture->harness, new_frame(fixture, n)), ==, GST_FLOW_OK);
}

/* The first request of a connection, after its CONFIG_REQ. */
static HxfrFrameRequest begin(Fixture *fixture, guint n)
{
    push(fixture, n);
    fake_service_accept(&fixture->service);
    fake_service_hear_config(&fixture->service);
    return fake_service_hear_frame(&fixture->service, NULL);
}

static HxfrFrameRequest hear(Fixture *fixture)
{
    return fake_service_hear_frame(&fixture->service, NULL);
}

static void answer(Fixture *fixture, const HxfrFrameRequest *request)
{
    fake_service_answer(&fixture->service, request, (guint8)(request->pts / (gint64)FRAME), UNIT,
                        request->force_keyframe);
}

/* The next thing pushed is the picture of frame @n. */
static void pull(Fixture *fixture, guint n, gboolean is_keyframe)
{
    g_autoptr(GstBuffer) buffer = gst_harness_pull(fixture->harness);
    guint8 first;
    g_assert_nonnull(buffer);
    g_assert_cmpuint(gst_buffer_get_size(buffer), ==, UNIT);
    gst_buffer_extract(buffer, 0, &first, 1);
    g_assert_cmpuint(first, ==, n);
    g_assert_cmpuint(GST_BUFFER_PTS(buffer), ==, n * FRAME);
    g_assert_cmpuint(GST_BUFFER_DURATION(buffer), ==, FRAME);
    g_assert_cmpint(!GST_BUFFER_FLAG_IS_SET(buffer, GST_BUFFER_FLAG_DELTA_UNIT), ==, is_keyframe);
}

static void wait_until_held(Fixture *fixture, gint n)
{
    const gint64 deadline = g_get_monotonic_time() + 10 * G_USEC_PER_SEC;
    while (g_atomic_int_get(&fixture->held) != n && g_get_monotonic_time() < deadline)
        g_usleep(1000);
    g_assert_cmpint(g_atomic_int_get(&fixture->held), ==, n);
}

/* A call that may wait, in a thread of its own. */
typedef struct {
    Fixture *fixture;
    GstBuffer *buffer;
    gint returned; /* atomic */
    GThread *thread;
} Call;

static void *push_in_thread(void *data)
{
    Call *call = data;
    GstFlowReturn flow = gst_harness_push(call->fixture->harness, call->buffer);
    g_atomic_int_set(&call->returned, TRUE);
    return GINT_TO_POINTER(flow);
}

static void *end_in_thread(void *data)
{
    Call *call = data;
    gboolean sent = gst_harness_push_event(call->fixture->harness, gst_event_new_eos());
    g_atomic_int_set(&call->returned, TRUE);
    return GINT_TO_POINTER(sent);
}

static void *query_in_thread(void *data)
{
    Call *call = data;
    g_autoptr(GstQuery) query = gst_query_new_drain();
    gst_pad_peer_query(call->fixture->harness->srcpad, query);
    g_atomic_int_set(&call->returned, TRUE);
    return NULL;
}

static void start_call(Call *call, void *(*function)(void *))
{
    call->thread = g_thread_new("call", function, call);
}

static int finish_call(Call *call)
{
    return GPOINTER_TO_INT(g_thread_join(call->thread));
}

static void assert_waits(Call *call)
{
    g_usleep(QUIET * 1000);
    g_assert_false(g_atomic_int_get(&call->returned));
}

/* The next message of @type; its error in @ret_error where that is not NULL. */
static GstMessage *next_message(Fixture *fixture, GstMessageType type, GError **ret_error)
{
    GstMessage *message = gst_bus_timed_pop_filtered(fixture->bus, 20 * GST_SECOND, type);
    g_assert_nonnull(message);
    if (ret_error && type == GST_MESSAGE_ERROR)
        gst_message_parse_error(message, ret_error, NULL);
    else if (ret_error)
        gst_message_parse_warning(message, ret_error, NULL);
    return message;
}

static void assert_told(Fixture *fixture, GstMessageType type, GQuark domain, int code,
                        const char *text)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GstMessage) message = next_message(fixture, type, &error);
    g_assert_error(error, domain, code);
    if (!strstr(error->message, text))
        g_error("\"%s\" is not in \"%s\"", text, error->message);
}

static void assert_nothing_told(Fixture *fixture)
{
    g_autoptr(GstMessage) message =
        gst_bus_pop_filtered(fixture->bus, GST_MESSAGE_ERROR | GST_MESSAGE_WARNING);
    g_assert_null(message);
}

static guint64 get_count(Fixture *fixture, const char *name)
{
    g_autoptr(GstStructure) statistics = NULL;
    guint64 value;
    g_object_get(fixture->element, "statistics", &statistics, NULL);
    g_assert_true(gst_structure_get_uint64(statistics, name, &value));
    return value;
}

/* --- frames ----------------------------------------------------------------------------------- */

/* Two are asked for before the first is answered, and no third; each is pushed when its answer
 * comes, without another frame; its buffer is held until then, and no longer. */
static void test_two_frames(Fixture *fixture, gconstpointer data)
{
    HxfrFrameRequest first = begin(fixture, 0);
    push(fixture, 1);
    HxfrFrameRequest second = hear(fixture);
    g_assert_cmpint(first.pts, ==, 0);
    g_assert_cmpint(second.pts, ==, FRAME);
    g_assert_true(first.force_keyframe);
    g_assert_false(second.force_keyframe);
    wait_until_held(fixture, 2);

    Call third = {.fixture = fixture, .buffer = new_frame(fixture, 2)};
    start_call(&third, push_in_thread);
    assert_waits(&third);
    g_assert_true(fake_service_hears_nothing(&fixture->service, 0));

    answer(fixture, &first);
    pull(fixture, 0, TRUE);
    HxfrFrameRequest request = hear(fixture);
    g_assert_cmpint(request.pts, ==, 2 * FRAME);
    g_assert_cmpint(finish_call(&third), ==, GST_FLOW_OK);
    wait_until_held(fixture, 2);
    answer(fixture, &second);
    pull(fixture, 1, FALSE);
    wait_until_held(fixture, 1);
    answer(fixture, &request);
    pull(fixture, 2, FALSE);
    wait_until_held(fixture, 0);
    assert_nothing_told(fixture);
}

/* A picture that is the last one is not pushed, and is no drop. */
static void test_unchanged(Fixture *fixture, gconstpointer data)
{
    HxfrFrameRequest request = begin(fixture, 0);
    answer(fixture, &request);
    pull(fixture, 0, TRUE);
    push(fixture, 1);
    request = hear(fixture);
    fake_service_answer(&fixture->service, &request, 0, 0, FALSE);
    push(fixture, 2);
    request = hear(fixture);
    answer(fixture, &request);
    pull(fixture, 2, FALSE);
    g_assert_cmpuint(get_count(fixture, "unchanged"), ==, 1);
    g_assert_cmpuint(get_count(fixture, "frames"), ==, 2);
    g_autoptr(GstMessage) message = gst_bus_pop_filtered(fixture->bus, GST_MESSAGE_QOS);
    g_assert_null(message);
}

/* Lines that are further apart than they are long. */
static void test_stride(Fixture *fixture, gconstpointer data)
{
    enum { PADDED = STRIDE + 32, START = 64 };
    GstBuffer *buffer = gst_buffer_new_allocate(NULL, START + PADDED * HEIGHT, NULL);
    gsize offset[4] = {START};
    gint stride[4] = {PADDED};
    g_autoptr(GBytes) pixels = NULL;
    gst_buffer_memset(buffer, 0, 1, START + PADDED * HEIGHT);
    for (gsize y = 0; y < HEIGHT; y++)
        gst_buffer_memset(buffer, START + y * PADDED, (guint8)(100 + y), STRIDE);
    GST_BUFFER_PTS(buffer) = 0;
    gst_buffer_add_video_meta_full(buffer, 0, GST_VIDEO_FORMAT_BGRx, WIDTH, HEIGHT, 1, offset,
                                   stride);
    gst_harness_push(fixture->harness, buffer);
    fake_service_accept(&fixture->service);
    fake_service_hear_config(&fixture->service);
    HxfrFrameRequest request = fake_service_hear_frame(&fixture->service, &pixels);
    g_assert_cmpuint(request.stride, ==, PADDED);
    const guint8 *line = g_bytes_get_data(pixels, NULL);
    g_assert_cmpuint(g_bytes_get_size(pixels), ==, PADDED * (HEIGHT - 1) + STRIDE);
    for (guint y = 0; y < HEIGHT; y++, line += PADDED) {
        g_assert_cmpuint(line[0], ==, 100 + y);
        g_assert_cmpuint(line[STRIDE - 1], ==, 100 + y);
    }
    answer(fixture, &request);
    gst_buffer_unref(gst_harness_pull(fixture->harness));
}

/* --- caps ------------------------------------------------------------------------------------- */

static void test_caps(Fixture *fixture, gconstpointer data)
{
    static const struct {
        const char *caps;
        gboolean taken;
    } cases[] = {
        {"video/x-raw,format=BGRx", TRUE},
        {"video/x-raw,format=NV12", TRUE},
        {"video/x-raw,format=I420", FALSE},
        {"video/x-raw(memory:DMABuf),format=DMA_DRM,drm-format=XR24", TRUE},
        {"video/x-raw(memory:DMABuf),format=DMA_DRM,drm-format=AB24", TRUE},
        {"video/x-raw(memory:DMABuf),format=DMA_DRM,drm-format=XR24:0x00ffffffffffffff", TRUE},
        /* Tiled: Intel's X and Y, AMD's. */
        {"video/x-raw(memory:DMABuf),format=DMA_DRM,drm-format=XR24:0x0100000000000001", FALSE},
        {"video/x-raw(memory:DMABuf),format=DMA_DRM,drm-format=XR24:0x0100000000000002", FALSE},
        {"video/x-raw(memory:DMABuf),format=DMA_DRM,drm-format=AR24:0x020000000866bf04", FALSE},
        {"video/x-raw(memory:DMABuf),format=DMA_DRM,drm-format=NV12", FALSE},
    };
    g_autoptr(GstPad) pad = gst_element_get_static_pad(fixture->element, "sink");
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GstCaps) caps = gst_caps_from_string(cases[i].caps);
        g_autoptr(GstCaps) taken = gst_pad_query_caps(pad, caps);
        g_test_message("%s", cases[i].caps);
        g_assert_cmpint(!gst_caps_is_empty(taken), ==, cases[i].taken);
    }
}

/* The buffers on their way have the caps before; the picture after them is a keyframe. */
static void test_new_caps(Fixture *fixture, gconstpointer data)
{
    HxfrFrameRequest request = begin(fixture, 0);
    answer(fixture, &request);
    pull(fixture, 0, TRUE);
    gst_harness_set_src_caps_str(fixture->harness,
                                 "video/x-raw,format=RGBx,width=16,height=4,framerate=50/1");
    push(fixture, 1);
    HxfrConfigReq config = fake_service_hear_config(&fixture->service);
    g_assert_cmpuint(config.height, ==, 4);
    g_assert_cmpuint(config.fps_num, ==, 50);
    request = hear(fixture);
    g_assert_cmpuint(request.format, ==, HXFR_FORMAT_XB24);
    g_assert_cmpuint(request.height, ==, 4);
    g_assert_true(request.force_keyframe);
    answer(fixture, &request);
    pull(fixture, 1, TRUE);
    g_autoptr(GstCaps) caps = gst_pad_get_current_caps(fixture->harness->sinkpad);
    int height;
    gst_structure_get_int(gst_caps_get_structure(caps, 0), "height", &height);
    g_assert_cmpint(height, ==, 4);
}

/* A frame in shared memory, which takes the place of another device's dma-buf: it is used in the
 * same way. */
static GstBuffer *new_dmabuf(GstAllocator *allocator, guint n)
{
    guint8 lines[STRIDE * HEIGHT];
    int fd = memfd_create("frame", MFD_CLOEXEC);
    memset(lines, (int)(10 + n), sizeof lines);
    g_assert_cmpint(write(fd, lines, sizeof lines), ==, sizeof lines);
    GstBuffer *buffer = gst_buffer_new();
    gst_buffer_append_memory(buffer, gst_dmabuf_allocator_alloc(allocator, fd, sizeof lines));
    GST_BUFFER_PTS(buffer) = n * FRAME;
    GST_BUFFER_DURATION(buffer) = FRAME;
    return buffer;
}

static void set_dmabuf_caps(Fixture *fixture, const char *drm_format)
{
    g_autofree char *caps = g_strdup_printf(DMABUF_CAPS, drm_format);
    gst_harness_set_src_caps_str(fixture->harness, caps);
}

/* It goes by pixels, and that is told once. */
static void test_foreign_dmabuf(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GstAllocator) allocator = gst_dmabuf_allocator_new();
    set_dmabuf_caps(fixture, "XR24");
    for (guint n = 0; n < 4; n++) {
        g_autoptr(GBytes) pixels = NULL;
        /* Of these caps the one differs from the other by nothing else. */
        if (n == 2)
            set_dmabuf_caps(fixture, "AB24:0x00ffffffffffffff");
        gst_harness_push(fixture->harness, new_dmabuf(allocator, n));
        if (n == 0) {
            fake_service_accept(&fixture->service);
            fake_service_hear_config(&fixture->service);
        }
        HxfrFrameRequest request = fake_service_hear_frame(&fixture->service, &pixels);
        const guint8 *line = g_bytes_get_data(pixels, NULL);
        g_assert_cmpuint(request.resource_id, ==, 0);
        g_assert_cmpuint(request.format, ==, n < 2 ? HXFR_FORMAT_XR24 : HXFR_FORMAT_AB24);
        g_assert_cmpuint(g_bytes_get_size(pixels), ==, STRIDE * HEIGHT);
        g_assert_cmpuint(line[0], ==, 10 + n);
        g_assert_cmpuint(line[STRIDE * HEIGHT - 1], ==, 10 + n);
        answer(fixture, &request);
        pull(fixture, n, request.force_keyframe);
    }
    assert_told(fixture, GST_MESSAGE_WARNING, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_READ,
                "pixel by pixel");
    assert_nothing_told(fixture);
    g_autoptr(GstStructure) statistics = NULL;
    g_object_get(fixture->element, "statistics", &statistics, NULL);
    g_assert_cmpstr(gst_structure_get_string(statistics, "source"), ==, "pixels");
    g_assert_nonnull(gst_structure_get_string(statistics, "fallback-reason"));
}

/* --- events and queries ----------------------------------------------------------------------- */

/* The next force-key-unit event that was sent out; its count. */
static guint pull_key_unit(Fixture *fixture)
{
    for (;;) {
        g_autoptr(GstEvent) event = gst_harness_pull_event(fixture->harness);
        guint count;
        g_assert_nonnull(event);
        if (!gst_video_event_is_force_key_unit(event))
            continue;
        g_assert_true(
            gst_video_event_parse_downstream_force_key_unit(event, NULL, NULL, NULL, NULL, &count));
        return count;
    }
}

static void test_key_unit(Fixture *fixture, gconstpointer data)
{
    HxfrFrameRequest first = begin(fixture, 0);
    push(fixture, 1);
    HxfrFrameRequest second = hear(fixture);
    gst_harness_push_upstream_event(fixture->harness, gst_video_event_new_upstream_force_key_unit(
                                                          GST_CLOCK_TIME_NONE, TRUE, 7));
    answer(fixture, &first);
    answer(fixture, &second);
    pull(fixture, 0, TRUE);
    pull(fixture, 1, FALSE);

    /* The next one, and it alone. */
    push(fixture, 2);
    push(fixture, 3);
    HxfrFrameRequest third = hear(fixture), fourth = hear(fixture);
    g_assert_true(third.force_keyframe);
    g_assert_false(fourth.force_keyframe);
    answer(fixture, &third);
    answer(fixture, &fourth);
    pull(fixture, 2, TRUE);
    pull(fixture, 3, FALSE);
    g_assert_cmpuint(pull_key_unit(fixture), ==, 7);

    /* From upstream, for a time that is yet to come. */
    gst_harness_push_event(fixture->harness, gst_video_event_new_downstream_force_key_unit(
                                                 5 * FRAME, 5 * FRAME, 5 * FRAME, TRUE, 9));
    for (guint n = 4; n < 7; n++) {
        push(fixture, n);
        HxfrFrameRequest request = hear(fixture);
        g_assert_cmpint(request.force_keyframe, ==, n == 5);
        answer(fixture, &request);
        pull(fixture, n, n == 5);
    }
    g_assert_cmpuint(pull_key_unit(fixture), ==, 9);
}

/* A keyframe at least every so many coded frames, also while some are on their way. */
static void test_keyframe_interval(Fixture *fixture, gconstpointer data)
{
    g_object_set(fixture->element, "keyframe-interval", 3, NULL);
    HxfrFrameRequest older = begin(fixture, 0);
    for (guint n = 1; n <= 7; n++) {
        push(fixture, n);
        HxfrFrameRequest newer = hear(fixture);
        g_assert_cmpint(newer.force_keyframe, ==, n % 3 == 0);
        answer(fixture, &older);
        pull(fixture, n - 1, (n - 1) % 3 == 0);
        older = newer;
    }
    g_object_set(fixture->element, "keyframe-interval", 1, NULL);
    push(fixture, 8);
    HxfrFrameRequest last = hear(fixture);
    g_assert_true(last.force_keyframe);
    answer(fixture, &older);
    answer(fixture, &last);
    pull(fixture, 7, FALSE);
    pull(fixture, 8, TRUE);
}

/* The service is told before the next frame, in its own unit. */
static void test_bitrate(Fixture *fixture, gconstpointer data)
{
    HxfrFrameRequest older = begin(fixture, 0);
    g_object_set(fixture->element, "bitrate", 1234, NULL);
    push(fixture, 1);
    HxfrConfigReq config = fake_service_hear_config(&fixture->service);
    g_assert_cmpuint(config.bitrate, ==, 1234000);
    HxfrFrameRequest newer = hear(fixture);
    answer(fixture, &older);
    answer(fixture, &newer);
    pull(fixture, 0, TRUE);
    pull(fixture, 1, FALSE);

    /* What the service would refuse it is not told. */
    g_object_set(fixture->element, "bitrate", 3, NULL);
    gst_harness_set_src_caps_str(fixture->harness,
                                 "video/x-raw,format=BGRx,width=16,height=8,framerate=2000/1");
    push(fixture, 2);
    config = fake_service_hear_config(&fixture->service);
    g_assert_cmpuint(config.bitrate, ==, 10000);
    g_assert_cmpuint(config.fps_num, ==, 0);
    g_assert_cmpuint(config.fps_den, ==, 0);
    newer = hear(fixture);
    answer(fixture, &newer);
    pull(fixture, 2, TRUE);
}

static void test_latency(Fixture *fixture, gconstpointer data)
{
#define OF_ANY_RATE "video/x-raw,format=BGRx,width=16,height=8,framerate=0/1"
    static const struct {
        const char *caps;
        GstClockTime frame;
    } cases[] = {{CAPS, FRAME},
                 {OF_ANY_RATE ",max-framerate=50/1", GST_SECOND / 50},
                 {OF_ANY_RATE, GST_SECOND / 25},
                 {OF_ANY_RATE ",max-framerate=0/1", GST_SECOND / 25}};
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_test_message("%s", cases[i].caps);
        gst_harness_set_src_caps_str(fixture->harness, cases[i].caps);
        g_assert_cmpuint(gst_harness_query_latency(fixture->harness), ==, cases[i].frame);
    }
}

/* The end of the stream comes after all pictures. */
static void test_end(Fixture *fixture, gconstpointer data)
{
    HxfrFrameRequest first = begin(fixture, 0);
    push(fixture, 1);
    HxfrFrameRequest second = hear(fixture);
    Call end = {.fixture = fixture};
    start_call(&end, end_in_thread);
    answer(fixture, &first);
    assert_waits(&end);
    answer(fixture, &second);
    g_assert_true(finish_call(&end));
    pull(fixture, 0, TRUE);
    pull(fixture, 1, FALSE);
    g_assert_true(gst_harness_pull_until_eos(fixture->harness, &(GstBuffer *){NULL}));
}

/* Upstream has its buffers back when it wants them. */
static void test_drain_query(Fixture *fixture, gconstpointer data)
{
    HxfrFrameRequest request = begin(fixture, 0);
    Call query = {.fixture = fixture};
    start_call(&query, query_in_thread);
    assert_waits(&query);
    g_assert_cmpint(g_atomic_int_get(&fixture->held), ==, 1);
    answer(fixture, &request);
    finish_call(&query);
    g_assert_cmpint(g_atomic_int_get(&fixture->held), ==, 0);
    pull(fixture, 0, TRUE);
}

/* Frames that are flushed are not pushed and not held, though the service never answers; who waits
 * returns at once; and what comes then begins anew. */
static void test_flush(Fixture *fixture, gconstpointer data)
{
    GstSegment segment;
    begin(fixture, 0);
    push(fixture, 1);
    hear(fixture);
    Call third = {.fixture = fixture, .buffer = new_frame(fixture, 2)};
    start_call(&third, push_in_thread);
    assert_waits(&third);
    gst_harness_push_event(fixture->harness, gst_event_new_flush_start());
    g_assert_cmpint(finish_call(&third), ==, GST_FLOW_FLUSHING);
    gst_harness_push_event(fixture->harness, gst_event_new_flush_stop(TRUE));
    wait_until_held(fixture, 0);
    g_assert_cmpuint(gst_harness_buffers_received(fixture->harness), ==, 0);

    gst_segment_init(&segment, GST_FORMAT_TIME);
    gst_harness_push_event(fixture->harness, gst_event_new_segment(&segment));
    HxfrFrameRequest request = begin(fixture, 5);
    g_assert_true(request.force_keyframe);
    answer(fixture, &request);
    pull(fixture, 5, TRUE);
    assert_nothing_told(fixture);

    /* Where nothing is on its way the connection stays. */
    gst_harness_push_event(fixture->harness, gst_event_new_flush_start());
    gst_harness_push_event(fixture->harness, gst_event_new_flush_stop(TRUE));
    gst_harness_push_event(fixture->harness, gst_event_new_segment(&segment));
    push(fixture, 6);
    request = hear(fixture);
    g_assert_true(request.force_keyframe);
    answer(fixture, &request);
    pull(fixture, 6, TRUE);
}

/* It stops at once, and starts again, whatever is on its way. */
static void test_restart(Fixture *fixture, gconstpointer data)
{
    begin(fixture, 0);
    push(fixture, 1);
    hear(fixture);
    gint64 started = g_get_monotonic_time();
    gst_element_set_state(fixture->element, GST_STATE_NULL);
    g_assert_cmpint(g_get_monotonic_time() - started, <, 3 * G_USEC_PER_SEC);
    wait_until_held(fixture, 0);
    fake_service_hang_up(&fixture->service);
}

/* Downstream has enough: upstream is told with the next frame. */
static GstFlowReturn have_enough(GstPad *pad, GstObject *parent, GstBuffer *buffer)
{
    gst_buffer_unref(buffer);
    return GST_FLOW_EOS;
}

static void test_downstream_flow(Fixture *fixture, gconstpointer data)
{
    gst_pad_set_chain_function(fixture->harness->sinkpad, have_enough);
    HxfrFrameRequest request = begin(fixture, 0);
    answer(fixture, &request);
    wait_until_held(fixture, 0);
    GstFlowReturn flow = GST_FLOW_OK;
    for (guint n = 1; n < 4 && flow == GST_FLOW_OK; n++)
        flow = gst_harness_push(fixture->harness, new_frame(fixture, n));
    g_assert_cmpint(flow, ==, GST_FLOW_EOS);
}

/* --- failures --------------------------------------------------------------------------------- */

/* A service that is lost with two frames on their way is sent both again. */
static void test_reconnect(Fixture *fixture, gconstpointer data)
{
    HxfrFrameRequest request = begin(fixture, 0);
    answer(fixture, &request);
    pull(fixture, 0, TRUE);
    push(fixture, 1);
    push(fixture, 2);
    hear(fixture);
    hear(fixture);
    fake_service_accept(&fixture->service);
    fake_service_hear_config(&fixture->service);
    for (guint n = 1; n < 3; n++) {
        request = hear(fixture);
        g_assert_cmpint(request.pts, ==, n * FRAME);
        g_assert_cmpint(request.force_keyframe, ==, n == 1);
        answer(fixture, &request);
        pull(fixture, n, n == 1);
    }
    assert_told(fixture, GST_MESSAGE_WARNING, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_READ,
                "is made again");
    assert_nothing_told(fixture);
    g_assert_cmpuint(get_count(fixture, "reconnects"), ==, 1);
    g_assert_cmpuint(get_count(fixture, "errors"), ==, 0);
}

/* While it is away frames are dropped; it is met again. */
static void test_away(Fixture *fixture, gconstpointer data)
{
    HxfrFrameRequest request = begin(fixture, 0);
    answer(fixture, &request);
    pull(fixture, 0, TRUE);
    fake_service_refuse(&fixture->service);
    fake_service_hang_up(&fixture->service);
    push(fixture, 1);
    assert_told(fixture, GST_MESSAGE_WARNING, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_READ,
                "is made again");
    assert_told(fixture, GST_MESSAGE_WARNING, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_READ,
                "A frame is lost");
    push(fixture, 2);
    wait_until_held(fixture, 0);
    assert_nothing_told(fixture);
    g_assert_cmpuint(get_count(fixture, "errors"), ==, 2);

    fake_service_return(&fixture->service);
    request = begin(fixture, 3);
    g_assert_true(request.force_keyframe);
    answer(fixture, &request);
    pull(fixture, 3, TRUE);
}

static void test_gone(Fixture *fixture, gconstpointer data)
{
    start_again(fixture, "reconnect-timeout", 0, CAPS);
    HxfrFrameRequest request = begin(fixture, 0);
    answer(fixture, &request);
    pull(fixture, 0, TRUE);
    fake_service_hang_up(&fixture->service);
    /* It may be told with this frame, or with the next. */
    gst_harness_push(fixture->harness, new_frame(fixture, 1));
    assert_told(fixture, GST_MESSAGE_ERROR, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_READ,
                "The host does not encode");
    g_assert_cmpint(gst_harness_push(fixture->harness, new_frame(fixture, 2)), ==, GST_FLOW_ERROR);
}

static void test_unreachable(Fixture *fixture, gconstpointer data)
{
    fake_service_refuse(&fixture->service);
    gst_harness_push(fixture->harness, new_frame(fixture, 0));
    assert_told(fixture, GST_MESSAGE_ERROR, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_OPEN_READ_WRITE,
                fixture->service.path);
}

static void test_no_answer(Fixture *fixture, gconstpointer data)
{
    start_again(fixture, "timeout", 300, CAPS);
    begin(fixture, 0);
    assert_told(fixture, GST_MESSAGE_ERROR, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_READ,
                "does not answer");
}

/* A frame that the service does not encode is lost, the stream is not: unless none is encoded. */
static void test_refused(Fixture *fixture, gconstpointer data)
{
    HxfrFrameRequest request = begin(fixture, 0);
    fake_service_answer_error(&fixture->service, HXFR_E_ENCODE, "out of order");
    assert_told(fixture, GST_MESSAGE_WARNING, GST_STREAM_ERROR, GST_STREAM_ERROR_ENCODE,
                "out of order (-5)");
    push(fixture, 1);
    request = hear(fixture);
    g_assert_true(request.force_keyframe);
    answer(fixture, &request);
    pull(fixture, 1, TRUE);
    for (guint n = 2; n < 7; n++) {
        push(fixture, n);
        hear(fixture);
        fake_service_answer_error(&fixture->service, HXFR_E_ENCODE, "out of order");
    }
    assert_told(fixture, GST_MESSAGE_ERROR, GST_STREAM_ERROR, GST_STREAM_ERROR_ENCODE,
                "out of order (-5)");
    g_assert_cmpuint(get_count(fixture, "errors"), ==, 6);
}

/* What the GPU never finishes is not waited for for ever, and does not keep the element from
 * stopping.  An eventfd takes the place of a dma-buf with a fence that does not come. */
static void test_not_drawn(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GstAllocator) allocator = gst_dmabuf_allocator_new();
    const gint64 started = g_get_monotonic_time();
    g_autofree char *caps = g_strdup_printf(DMABUF_CAPS, "XR24");
    start_again(fixture, "timeout", 300, caps);
    GstBuffer *buffer = gst_buffer_new();
    gst_buffer_append_memory(
        buffer, gst_dmabuf_allocator_alloc(allocator, eventfd(0, EFD_CLOEXEC), STRIDE * HEIGHT));
    GST_BUFFER_PTS(buffer) = 0;
    g_autoptr(GstBuffer) again = gst_buffer_copy(buffer);
    g_assert_cmpint(gst_harness_push(fixture->harness, buffer), ==, GST_FLOW_OK);
    assert_told(fixture, GST_MESSAGE_WARNING, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_READ, "fence");
    g_assert_cmpint(g_get_monotonic_time() - started, >=, 300 * 1000);

    gst_harness_push(fixture->harness, new_dmabuf(allocator, 1));
    fake_service_accept(&fixture->service);
    fake_service_hear_config(&fixture->service);
    HxfrFrameRequest request = hear(fixture);
    g_assert_true(request.force_keyframe);
    answer(fixture, &request);
    pull(fixture, 1, TRUE);

    start_again(fixture, "timeout", 60000, caps);
    Call call = {.fixture = fixture, .buffer = g_steal_pointer(&again)};
    start_call(&call, push_in_thread);
    assert_waits(&call);
    gst_element_set_state(fixture->element, GST_STATE_NULL);
    g_assert_cmpint(finish_call(&call), ==, GST_FLOW_FLUSHING);
}

/* --- statistics ------------------------------------------------------------------------------- */

static void test_statistics(Fixture *fixture, gconstpointer data)
{
    enum { DELAY_MS = 20 };
    double latency, fps;
    guint64 frames = 0;
    g_object_set(fixture->element, "statistics-interval", 1, NULL);
    for (guint n = 0; n < 3; n++) {
        HxfrFrameRequest request = n ? (push(fixture, n), hear(fixture)) : begin(fixture, n);
        g_usleep(DELAY_MS * 1000);
        answer(fixture, &request);
        pull(fixture, n, n == 0);
        g_autoptr(GstMessage) message = next_message(fixture, GST_MESSAGE_ELEMENT, NULL);
        const GstStructure *told = gst_message_get_structure(message);
        g_assert_true(gst_structure_has_name(told, "vsockenc-statistics"));
        g_assert_cmpstr(gst_structure_get_string(told, "source"), ==, "pixels");
        g_assert_true(gst_structure_get(told, "frames", G_TYPE_UINT64, &frames, "latency-p50",
                                        G_TYPE_DOUBLE, &latency, "fps", G_TYPE_DOUBLE, &fps, NULL));
        g_assert_cmpuint(frames, ==, n + 1);
        g_assert_cmpfloat(latency, >=, DELAY_MS);
        g_assert_cmpfloat(fps, <=, 1000.0 / DELAY_MS);
        g_assert_cmpint(fps > 0, ==, n > 0);
    }
    g_object_set(fixture->element, "statistics-interval", 0, NULL);
    push(fixture, 3);
    HxfrFrameRequest request = hear(fixture);
    answer(fixture, &request);
    pull(fixture, 3, FALSE);
    g_autoptr(GstMessage) message = gst_bus_pop_filtered(fixture->bus, GST_MESSAGE_ELEMENT);
    g_assert_null(message);
}

#define ADD(name, caps, function)                                                                  \
    g_test_add("/harness/" name, Fixture, caps, set_up, function, tear_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    /* No other plugin is needed. */
    g_setenv("GST_REGISTRY_DISABLE", "yes", TRUE);
    gst_init(&argc, &argv);
    gst_element_register(NULL, "vsockenc", GST_RANK_NONE, GST_TYPE_VSOCK_ENC);
    ADD("two-frames", CAPS, test_two_frames);
    ADD("unchanged", CAPS, test_unchanged);
    ADD("stride", CAPS, test_stride);
    ADD("caps", CAPS, test_caps);
    ADD("new-caps", CAPS, test_new_caps);
    ADD("foreign-dmabuf", NULL, test_foreign_dmabuf);
    ADD("key-unit", CAPS, test_key_unit);
    ADD("keyframe-interval", CAPS, test_keyframe_interval);
    ADD("bitrate", CAPS, test_bitrate);
    ADD("latency", CAPS, test_latency);
    ADD("end", CAPS, test_end);
    ADD("drain-query", CAPS, test_drain_query);
    ADD("flush", CAPS, test_flush);
    ADD("restart", CAPS, test_restart);
    ADD("downstream-flow", CAPS, test_downstream_flow);
    ADD("reconnect", CAPS, test_reconnect);
    ADD("away", CAPS, test_away);
    ADD("gone", CAPS, test_gone);
    ADD("unreachable", CAPS, test_unreachable);
    ADD("no-answer", CAPS, test_no_answer);
    ADD("refused", CAPS, test_refused);
    ADD("not-drawn", NULL, test_not_drawn);
    ADD("statistics", CAPS, test_statistics);
    return g_test_run();
}
