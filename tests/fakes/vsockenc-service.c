/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/fakes/vsockenc-service.h"

#include "launcher/base/unix-socket.h"

#include <glib/gstdio.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

/* ms; valgrind is slow. */
enum { PATIENCE = 20000 };

void fake_service_start(FakeService *service)
{
    g_autoptr(GError) error = NULL;
    service->directory = g_dir_make_tmp("helixvm-vsockenc-XXXXXX", &error);
    g_assert_no_error(error);
    service->path = g_build_filename(service->directory, "socket", NULL);
    service->fd = -1;
    fake_service_return(service);
}

void fake_service_return(FakeService *service)
{
    service->listen_fd = hx_unix_listen(service->path, SOCK_STREAM, 0600);
    g_assert_cmpint(service->listen_fd, >=, 0);
}

void fake_service_refuse(FakeService *service)
{
    if (service->listen_fd < 0)
        return;
    close(service->listen_fd);
    service->listen_fd = -1;
    g_assert_no_errno(g_unlink(service->path));
}

void fake_service_stop(FakeService *service)
{
    fake_service_refuse(service);
    fake_service_hang_up(service);
    g_assert_no_errno(g_rmdir(service->directory));
    g_free(service->path);
    g_free(service->directory);
}

static void wait_for(int fd)
{
    struct pollfd item = {.fd = fd, .events = POLLIN};
    g_assert_cmpint(poll(&item, 1, PATIENCE), ==, 1);
}

void fake_service_accept(FakeService *service)
{
    fake_service_hang_up(service);
    wait_for(service->listen_fd);
    service->fd = accept4(service->listen_fd, NULL, NULL, SOCK_CLOEXEC);
    g_assert_cmpint(service->fd, >=, 0);
}

void fake_service_hang_up(FakeService *service)
{
    if (service->fd >= 0)
        close(service->fd);
    service->fd = -1;
}

static void hear(FakeService *service, void *buffer, gsize size)
{
    for (gsize got = 0; got < size;) {
        wait_for(service->fd);
        gssize n = recv(service->fd, (char *)buffer + got, size - got, 0);
        g_assert_cmpint(n, >, 0);
        got += (gsize)n;
    }
}

static guint8 *hear_payload(FakeService *service, HxfrType type, guint32 *ret_size)
{
    guint8 bytes[HXFR_HEADER_SIZE];
    HxfrHeader header = {0};
    hear(service, bytes, sizeof bytes);
    g_assert_cmpint(hxfr_decode_header(bytes, sizeof bytes, &header), ==, 0);
    g_assert_cmpint(header.type, ==, type);
    guint8 *payload = g_malloc(header.payload_size);
    hear(service, payload, header.payload_size);
    *ret_size = header.payload_size;
    return payload;
}

HxfrFrameRequest fake_service_hear_frame(FakeService *service, GBytes **ret_pixels)
{
    const gsize fixed = HXFR_FRAME_REQUEST_SIZE - HXFR_HEADER_SIZE;
    guint32 size;
    HxfrFrameRequest request;
    g_autofree guint8 *payload = hear_payload(service, HXFR_FRAME_REQUEST, &size);
    g_assert_cmpint(hxfr_decode_frame_request(payload, size, &request), ==, 0);
    if (ret_pixels)
        *ret_pixels = size > fixed ? g_bytes_new(payload + fixed, size - fixed) : NULL;
    return request;
}

HxfrConfigReq fake_service_hear_config(FakeService *service)
{
    guint32 size;
    HxfrConfigReq config;
    g_autofree guint8 *payload = hear_payload(service, HXFR_CONFIG_REQ, &size);
    g_assert_cmpint(hxfr_decode_config_req(payload, size, &config), ==, 0);
    return config;
}

gboolean fake_service_hears_nothing(FakeService *service, int ms)
{
    struct pollfd item = {.fd = service->fd, .events = POLLIN};
    return poll(&item, 1, ms) == 0;
}

static void say(FakeService *service, const void *data, gsize size)
{
    g_assert_cmpint(send(service->fd, data, size, MSG_NOSIGNAL), ==, (gssize)size);
}

void fake_service_answer(FakeService *service, const HxfrFrameRequest *request, guint8 first,
                         guint32 size, gboolean is_keyframe)
{
    const HxfrFrameResponse response = {
        .pts = request->pts, .dts = request->pts, .is_keyframe = is_keyframe, .nal_count = 1};
    guint8 head[HXFR_FRAME_RESPONSE_ONE_SIZE];
    g_autofree guint8 *unit = g_malloc0(size + 1);
    unit[0] = first;
    hxfr_encode_frame_response(head, 0, &response, size);
    say(service, head, size ? HXFR_FRAME_RESPONSE_ONE_SIZE : HXFR_FRAME_RESPONSE_SIZE);
    if (size)
        say(service, unit, size);
}

void fake_service_answer_error(FakeService *service, HxfrErrorCode code, const char *text)
{
    guint8 bytes[HXFR_ERROR_SIZE];
    hxfr_encode_error(bytes, 0, code, text);
    say(service, bytes, sizeof bytes);
}
