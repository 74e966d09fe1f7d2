/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/fakes/encoder-client.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "launcher/base/fd.h"
#include "launcher/base/process.h"
#include "launcher/base/unix-socket.h"

void test_service_start(TestService *service, const char *const *options)
{
    service->directory = g_dir_make_tmp("hx-encoder-XXXXXX", NULL);
    service->hxfr_path = g_build_filename(service->directory, "hxfr", NULL);
    service->serial_path = g_build_filename(service->directory, "serial", NULL);
    service->stats_path = g_build_filename(service->directory, "stats", NULL);
    service->module_path = g_build_filename(service->directory, "module", NULL);
    hx_autofd int hxfr = hx_unix_listen(service->hxfr_path, SOCK_STREAM, 0600);
    hx_autofd int stats = hx_unix_listen(service->stats_path, SOCK_STREAM, 0600);
    hx_autofd int serial = hx_unix_listen(service->serial_path, SOCK_STREAM, 0600);
    int ready[2];
    g_assert_cmpint(hxfr, >=, 0);
    g_assert_cmpint(stats, >=, 0);
    g_assert_cmpint(serial, >=, 0);
    g_assert_cmpint(pipe2(ready, O_CLOEXEC), ==, 0);

    g_autofree char *program =
        g_build_filename(g_getenv("BUILD") ?: "build", "helixvm-encoder", NULL);
    g_autofree char *module = g_strconcat("--module-socket=", service->module_path, NULL);
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    g_ptr_array_add(argv, program);
    g_ptr_array_add(argv, "--listen-fd=3");
    g_ptr_array_add(argv, "--stats-fd=4");
    g_ptr_array_add(argv, "--ready-fd=5");
    g_ptr_array_add(argv, "--serial-fd=6");
    g_ptr_array_add(argv, module);
    for (; options && *options; options++)
        g_ptr_array_add(argv, (char *)*options);
    g_ptr_array_add(argv, NULL);
    const int fds[] = {hxfr, stats, ready[1], serial};
    HxProcess process = {
        .argv = (const char *const *)argv->pdata,
        .stdin_fd = -1,
        .stdout_fd = -1,
        .stderr_fd = -1,
        .fds = fds,
        .n_fds = G_N_ELEMENTS(fds),
    };
    GError *error = NULL;
    service->pid = hx_process_spawn(&process, &error);
    g_assert_no_error(error);
    close(ready[1]);
    char text[8];
    g_assert_cmpint(hx_read_all(ready[0], text, sizeof text), ==, 0);
    g_assert_cmpmem(text, sizeof text, "READY=1\n", 8);
    close(ready[0]);
}

void test_service_start_logging(TestService *service, const char *const *options, const char *path)
{
    hx_autofd int kept = dup(STDERR_FILENO);
    hx_autofd int log = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    g_assert_cmpint(log, >=, 0);
    g_assert_cmpint(dup2(log, STDERR_FILENO), ==, STDERR_FILENO);
    test_service_start(service, options);
    g_assert_cmpint(dup2(kept, STDERR_FILENO), ==, STDERR_FILENO);
}

void test_service_stop(TestService *service)
{
    int status = -1;
    g_assert_cmpint(kill(service->pid, SIGTERM), ==, 0);
    g_assert_cmpint(waitpid(service->pid, &status, 0), ==, service->pid);
    g_assert_cmpint(status, ==, 0);
    g_unlink(service->hxfr_path);
    g_unlink(service->serial_path);
    g_unlink(service->stats_path);
    g_unlink(service->module_path);
    g_assert_cmpint(g_rmdir(service->directory), ==, 0);
    g_free(service->directory);
    g_free(service->hxfr_path);
    g_free(service->serial_path);
    g_free(service->stats_path);
    g_free(service->module_path);
}

void test_service_set_up(TestService *service, const void *options)
{
    test_service_start(service, options);
}

void test_service_tear_down(TestService *service, const void *options)
{
    test_service_stop(service);
}

static int connect_to(const char *path)
{
    int fd = hx_unix_connect(path, SOCK_STREAM);
    g_assert_cmpint(fd, >=, 0);
    struct timeval timeout = {.tv_sec = 20};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    return fd;
}

JsonNode *test_service_statistics(TestService *service)
{
    hx_autofd int fd = connect_to(service->stats_path);
    g_autoptr(GString) text = g_string_new(NULL);
    char part[4096];
    for (ssize_t n; (n = read(fd, part, sizeof part)) > 0;)
        g_string_append_len(text, part, n);
    GError *error = NULL;
    JsonNode *root = json_from_string(text->str, &error);
    g_assert_no_error(error);
    g_assert_nonnull(root);
    return root;
}

int test_connect(TestService *service)
{
    return connect_to(service->hxfr_path);
}

int test_connect_serial(TestService *service)
{
    return connect_to(service->serial_path);
}

void test_send(int fd, const void *data, size_t size)
{
    g_assert_cmpint(hx_write_all(fd, data, size), ==, 0);
}

TestMessage test_receive(int fd)
{
    guint8 bytes[HXFR_HEADER_SIZE];
    TestMessage message = {0};
    g_assert_cmpint(hx_read_all(fd, bytes, sizeof bytes), ==, 0);
    g_assert_cmpint(hxfr_decode_header(bytes, sizeof bytes, &message.header), ==, 0);
    message.payload = g_malloc(message.header.payload_size + 1);
    if (message.header.payload_size)
        g_assert_cmpint(hx_read_all(fd, message.payload, message.header.payload_size), ==, 0);
    return message;
}

void test_message_clear(TestMessage *message)
{
    g_clear_pointer(&message->payload, g_free);
}

void test_expect_end(int fd)
{
    char byte;
    g_assert_cmpint(recv(fd, &byte, 1, 0), <=, 0);
    /* A timeout is no end. */
    g_assert_cmpint(errno, !=, EAGAIN);
}

void test_send_ping(int fd, guint16 session_id)
{
    guint8 bytes[HXFR_HEADER_SIZE];
    hxfr_encode_empty(bytes, HXFR_PING, session_id);
    test_send(fd, bytes, sizeof bytes);
}

void test_expect_pong(int fd, guint16 session_id)
{
    g_auto(TestMessage) message = test_receive(fd);
    g_assert_cmphex(message.header.type, ==, HXFR_PONG);
    g_assert_cmpuint(message.header.session_id, ==, session_id);
}

void test_expect_error(int fd, guint16 session_id, HxfrErrorCode code)
{
    g_auto(TestMessage) message = test_receive(fd);
    HxfrError error;
    g_assert_cmphex(message.header.type, ==, HXFR_ERROR);
    g_assert_cmpuint(message.header.session_id, ==, session_id);
    g_assert_cmpint(hxfr_decode_error(message.payload, message.header.payload_size, &error), ==, 0);
    g_assert_cmpint(error.code, ==, code);
    g_assert_cmpstr(error.message, !=, "");
}

HxfrFrameResponse test_expect_frame(int fd, guint16 session_id, GByteArray *stream)
{
    g_auto(TestMessage) message = test_receive(fd);
    HxfrFrameResponse response;
    g_assert_cmphex(message.header.type, ==, HXFR_FRAME_RESPONSE);
    g_assert_cmpuint(message.header.session_id, ==, session_id);
    guint32 size = message.header.payload_size;
    g_assert_cmpint(hxfr_decode_frame_response(message.payload, size, &response), ==, 0);
    g_assert_cmpuint(response.nal_count, <=, 1);
    const guint8 *data;
    size_t length, offset = 0;
    while (hxfr_next_nal(message.payload, size, &offset, &data, &length)) {
        static const guint8 start_code[] = {0, 0, 0, 1};
        g_assert_cmpuint(length, >, 5);
        g_assert_cmpmem(data, 4, start_code, 4);
        /* A keyframe opens with a sequence parameter set, and nothing else does. */
        g_assert_cmpint((data[4] & 0x1f) == 7, ==, response.is_keyframe);
        if (stream)
            g_byte_array_append(stream, data, (guint)length);
    }
    return response;
}

/* --- pattern
 * -------------------------------------------------------------------------------------- */

void test_pattern(guint32 x, guint32 y, guint frame, guint8 ret_rgb[3])
{
    static const guint8 colours[][3] = {
        {255, 0, 0},    {0, 255, 0},   {0, 0, 255},   {255, 255, 255}, {0, 0, 0},
        {255, 255, 0},  {0, 255, 255}, {255, 0, 255}, {128, 128, 128}, {200, 100, 30},
        {30, 200, 100}, {16, 16, 235}, {90, 60, 220},
    };
    guint block = x / 48 + 5 * (y / 40) + frame;
    memcpy(ret_rgb, colours[block % G_N_ELEMENTS(colours)], 3);
}

/* ITU-R BT.709, from its definition. */
static void to_yuv(const guint8 rgb[3], guint8 ret_yuv[3])
{
    double r = rgb[0] / 255.0, g = rgb[1] / 255.0, b = rgb[2] / 255.0;
    double y = 0.2126 * r + 0.7152 * g + 0.0722 * b;
    ret_yuv[0] = (guint8)(16 + 219 * y + 0.5);
    ret_yuv[1] = (guint8)(128 + 224 * (b - y) / 1.8556 + 0.5);
    ret_yuv[2] = (guint8)(128 + 224 * (r - y) / 1.5748 + 0.5);
}

guint8 *test_pattern_pixels(guint32 format, guint32 width, guint32 height, guint32 stride,
                            guint frame, gsize *ret_size)
{
    gsize size = hxfr_pixels_size(format, width, height, stride);
    g_assert_cmpuint(size, >, 0);
    guint8 *pixels = g_malloc(size);
    memset(pixels, 0xEE, size);
    for (guint32 y = 0; y < height; y++) {
        for (guint32 x = 0; x < width; x++) {
            guint8 rgb[3], yuv[3];
            test_pattern(x, y, frame, rgb);
            to_yuv(rgb, yuv);
            guint8 *p = pixels + (gsize)y * stride + x * 4;
            switch (format) {
            case HXFR_FORMAT_AR24:
            case HXFR_FORMAT_XR24:
                p[0] = rgb[2], p[1] = rgb[1], p[2] = rgb[0];
                break;
            case HXFR_FORMAT_AB24:
            case HXFR_FORMAT_XB24:
                p[0] = rgb[0], p[1] = rgb[1], p[2] = rgb[2];
                break;
            case HXFR_FORMAT_NV12:
                pixels[(gsize)y * stride + x] = yuv[0];
                p = pixels + (gsize)stride * ((height + 1) / 2 * 2 + y / 2) + x / 2 * 2;
                p[0] = yuv[1], p[1] = yuv[2];
                break;
            default:
                g_assert_not_reached();
            }
        }
    }
    *ret_size = size;
    return pixels;
}

void test_send_pattern(int fd, guint16 session_id, guint8 flags, const HxfrFrameRequest *request,
                       guint frame)
{
    gsize size;
    g_autofree guint8 *pixels = test_pattern_pixels(request->format, request->width,
                                                    request->height, request->stride, frame, &size);
    guint8 bytes[HXFR_FRAME_REQUEST_SIZE];
    hxfr_encode_frame_request(bytes, session_id, flags | HXFR_FLAG_PIXELS, request, (guint32)size);
    test_send(fd, bytes, sizeof bytes);
    test_send(fd, pixels, size);
}

void test_decode_and_compare(const GByteArray *stream, guint32 width, guint32 height, guint frames)
{
    guint32 coded_width = (width + 1) / 2 * 2, coded_height = (height + 1) / 2 * 2;
    g_autofree char *directory = g_dir_make_tmp("hx-decode-XXXXXX", NULL);
    g_autofree char *in = g_build_filename(directory, "in.h264", NULL);
    g_autofree char *out = g_build_filename(directory, "out.rgb", NULL);
    g_assert_true(g_file_set_contents(in, (const char *)stream->data, stream->len, NULL));
    const char *argv[] = {"ffmpeg",     "-v",
                          "error",      "-xerror",
                          "-f",         "h264",
                          "-i",         in,
                          "-vsync",     "passthrough",
                          "-f",         "rawvideo",
                          "-sws_flags", "accurate_rnd+full_chroma_int",
                          "-pix_fmt",   "rgb24",
                          out,          NULL};
    GError *error = NULL;
    hx_process_run(argv, NULL, NULL, &error);
    g_assert_no_error(error);
    g_autofree guint8 *decoded = NULL;
    gsize size;
    g_assert_true(g_file_get_contents(out, (char **)&decoded, &size, NULL));
    g_assert_cmpuint(size, ==, (gsize)coded_width * coded_height * 3 * frames);
    for (guint frame = 0; frame < frames; frame++) {
        for (guint32 y = 0; y < coded_height; y++) {
            for (guint32 x = 0; x < coded_width; x++) {
                /* Chroma is shared by neighbours: where blocks meet, colours mix. */
                if (x % 48 < 4 || x % 48 >= 44 || y % 40 < 4 || y % 40 >= 36)
                    continue;
                guint8 rgb[3];
                test_pattern(MIN(x, width - 1), MIN(y, height - 1), frame, rgb);
                const guint8 *p =
                    decoded + (((gsize)frame * coded_height + y) * coded_width + x) * 3;
                if (ABS(p[0] - rgb[0]) > 6 || ABS(p[1] - rgb[1]) > 6 || ABS(p[2] - rgb[2]) > 6)
                    g_error("frame %u at %u,%u: %u %u %u, not %u %u %u", frame, x, y, p[0], p[1],
                            p[2], rgb[0], rgb[1], rgb[2]);
            }
        }
    }
    g_unlink(in);
    g_unlink(out);
    g_rmdir(directory);
}
