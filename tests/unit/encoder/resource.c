/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Frames by resource id: the service against a module that serves, fails, hangs and lies. */
#include <glib.h>
#include <string.h>
#include <unistd.h>

#include "launcher/base/fd.h"
#include "tests/fakes/encoder-client.h"
#include "tests/fakes/encoder-module.h"

static void set_up(TestService *service, const void *data)
{
    static const char *const options[] = {"--bitrate=40000000", NULL};
    test_service_start(service, options);
}

static void tear_down(TestService *service, const void *data)
{
    test_service_stop(service);
}

static void ask_sized(int fd, guint32 resource, guint32 width, guint32 height)
{
    HxfrFrameRequest request = {.resource_id = resource,
                                .width = width,
                                .height = height,
                                .format = HXFR_FORMAT_XR24,
                                .stride = width * 4,
                                .pts = resource};
    guint8 bytes[HXFR_FRAME_REQUEST_SIZE];
    hxfr_encode_frame_request(bytes, 1, 0, &request, 0);
    test_send(fd, bytes, sizeof bytes);
}

static void ask(int fd, guint32 resource)
{
    ask_sized(fd, resource, FAKE_WIDTH, FAKE_HEIGHT);
}

static gboolean is_connected(TestService *service, JsonNode **ret_root, JsonObject **ret_module)
{
    *ret_root = test_service_statistics(service);
    *ret_module = json_object_get_object_member(json_node_get_object(*ret_root), "module");
    return json_object_get_boolean_member(*ret_module, "connected");
}

/* Wait until the service may try to connect again: it answers with a frame. */
static void ask_until_served(int fd, guint32 resource)
{
    gint64 deadline = g_get_monotonic_time() + 5 * G_TIME_SPAN_SECOND;
    for (;;) {
        ask(fd, resource);
        g_auto(TestMessage) message = test_receive(fd);
        if (message.header.type == HXFR_FRAME_RESPONSE)
            return;
        g_assert_cmphex(message.header.type, ==, HXFR_ERROR);
        g_assert_cmpint(g_get_monotonic_time(), <, deadline);
    }
}

static void test_pictures(TestService *service, const void *data)
{
    FakeModule *module = fake_module_start(service->module_path, FAKE_PATTERN);
    hx_autofd int fd = test_connect(service);
    g_autoptr(GByteArray) stream = g_byte_array_new();
    for (guint frame = 0; frame < 10; frame++) {
        ask(fd, frame);
        g_assert_cmpint(test_expect_frame(fd, 1, stream).pts, ==, frame);
    }
    test_decode_and_compare(stream, FAKE_WIDTH, FAKE_HEIGHT, 10);

    g_autoptr(JsonNode) root = NULL;
    JsonObject *object;
    g_assert_true(is_connected(service, &root, &object));
    g_assert_cmpint(json_object_get_int_member(object, "reads"), ==, 10);
    JsonObject *held = json_object_get_object_member(object, "main_thread_ms");
    g_assert_cmpfloat(json_object_get_double_member(held, "p50"), ==, 1.5);
    JsonArray *sessions = json_object_get_array_member(json_node_get_object(root), "sessions");
    JsonObject *session = json_array_get_object_element(sessions, 0);
    g_assert_cmpstr(json_object_get_string_member(session, "source"), ==, "resource");

    /* The upper left part, the whole where no size is given, and no more than there is. */
    g_byte_array_set_size(stream, 0);
    ask_sized(fd, 0, 150, 90);
    test_expect_frame(fd, 1, stream);
    test_decode_and_compare(stream, 150, 90, 1);
    g_byte_array_set_size(stream, 0);
    ask_sized(fd, 0, 0, 0);
    test_expect_frame(fd, 1, stream);
    test_decode_and_compare(stream, FAKE_WIDTH, FAKE_HEIGHT, 1);
    ask_sized(fd, 0, FAKE_WIDTH + 1, FAKE_HEIGHT);
    test_expect_error(fd, 1, HXFR_E_INVALID);
    ask_sized(fd, 0, FAKE_WIDTH, 0xffffffff);
    test_expect_error(fd, 1, HXFR_E_INVALID);
    fake_module_stop(module);
}

static void test_failures(TestService *service, const void *data)
{
    static const struct {
        FakeBehaviour behaviour;
        HxfrErrorCode code;
    } cases[] = {
        {FAKE_NOT_FOUND, HXFR_E_NOT_FOUND},   {FAKE_UNREADABLE, HXFR_E_UNREADABLE},
        {FAKE_TOO_LARGE, HXFR_E_UNREADABLE},  {FAKE_FAILED, HXFR_E_UNREADABLE},
        {FAKE_BAD_STRIDE, HXFR_E_UNREADABLE}, {FAKE_BAD_SIZE, HXFR_E_UNREADABLE},
        {FAKE_BAD_FORMAT, HXFR_E_UNREADABLE}, {FAKE_NV12, HXFR_E_UNREADABLE},
        {FAKE_CLOSES, HXFR_E_UNREADABLE},     {FAKE_WRONG_ID, HXFR_E_UNREADABLE},
        {FAKE_SHORT, HXFR_E_UNREADABLE},      {FAKE_SILENT, HXFR_E_UNREADABLE},
    };
    FakeModule *module = fake_module_start(service->module_path, FAKE_PATTERN);
    hx_autofd int fd = test_connect(service);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        fake_module_set(module, FAKE_PATTERN);
        ask_until_served(fd, 1);
        fake_module_set(module, cases[i].behaviour);
        ask(fd, 1);
        test_expect_error(fd, 1, cases[i].code);
    }
    fake_module_stop(module);
}

/* QEMU comes, goes, and comes again. */
static void test_comings_and_goings(TestService *service, const void *data)
{
    hx_autofd int fd = test_connect(service);
    ask(fd, 1);
    test_expect_error(fd, 1, HXFR_E_UNREADABLE);
    for (int i = 0; i < 3; i++) {
        FakeModule *module = fake_module_start(service->module_path, FAKE_PATTERN);
        ask_until_served(fd, 1);
        fake_module_stop(module);
        ask(fd, 1);
        test_expect_error(fd, 1, HXFR_E_UNREADABLE);
        g_autoptr(JsonNode) root = NULL;
        JsonObject *object;
        g_assert_false(is_connected(service, &root, &object));
        g_assert_cmpstr(json_object_get_string_member(object, "reason"), !=, "");
    }
}

/* One that does not greet as it should; then a good one in its place. */
static void test_stranger(TestService *service, const void *data)
{
    FakeModule *module = fake_module_start(service->module_path, GPOINTER_TO_INT(data));
    hx_autofd int fd = test_connect(service);
    ask(fd, 1);
    test_expect_error(fd, 1, HXFR_E_UNREADABLE);
    g_autoptr(JsonNode) root = NULL;
    JsonObject *object;
    g_assert_false(is_connected(service, &root, &object));
    g_assert_nonnull(strstr(json_object_get_string_member(object, "reason"), "refused"));
    fake_module_stop(module);
    module = fake_module_start(service->module_path, FAKE_PATTERN);
    ask_until_served(fd, 1);
    fake_module_stop(module);
}

static void *ask_in_thread(void *data)
{
    hx_autofd int fd = test_connect(data);
    g_autoptr(GByteArray) stream = g_byte_array_new();
    for (guint frame = 0; frame < 25; frame++) {
        ask(fd, frame);
        test_expect_frame(fd, 1, stream);
    }
    test_decode_and_compare(stream, FAKE_WIDTH, FAKE_HEIGHT, 25);
    return NULL;
}

/* More sessions than slots, each with its own pictures. */
static void test_many(TestService *service, const void *data)
{
    FakeModule *module = fake_module_start(service->module_path, FAKE_PATTERN);
    GThread *threads[6];
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
        threads[i] = g_thread_new("client", ask_in_thread, service);
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
        g_thread_join(threads[i]);
    fake_module_stop(module);
}

/* A module that hangs does not hold up the end of the service. */
static void test_termination(TestService *service, const void *data)
{
    FakeModule *module = fake_module_start(service->module_path, FAKE_PATTERN);
    hx_autofd int fd = test_connect(service);
    ask_until_served(fd, 1);
    fake_module_set(module, FAKE_SILENT);
    ask(fd, 1);
    gint64 start = g_get_monotonic_time();
    test_service_stop(service);
    g_assert_cmpint(g_get_monotonic_time() - start, <, 1500 * G_TIME_SPAN_MILLISECOND);
    fake_module_stop(module);
    set_up(service, NULL); /* for tear_down() */
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, function) ADD_WITH(name, NULL, function)
#define ADD_WITH(name, data, function)                                                             \
    g_test_add("/resource/" name, TestService, data, set_up, function, tear_down)
    ADD("pictures", test_pictures);
    ADD("failures", test_failures);
    ADD("comings-and-goings", test_comings_and_goings);
    ADD_WITH("old", GINT_TO_POINTER(FAKE_OLD), test_stranger);
    ADD_WITH("silent", GINT_TO_POINTER(FAKE_NO_GREETING), test_stranger);
    ADD("many", test_many);
    ADD("termination", test_termination);
    return g_test_run();
}
