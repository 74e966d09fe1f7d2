/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A client of the frame-export service: any bytes, on a connection with its two threads and an
 * encoder that does nothing but look at its picture.
 *
 * Input: a byte whose lowest bit makes the connection one of a serial port, and what the client
 * sends until it ends. */
#include "encoder/service/connection.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "encoder/protocol.h"
#include "launcher/base/fd.h"
#include "tests/fuzz/input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* --- the encoder ---------------------------------------------------------------------------------
 */

struct HxEncoder {
    uint32_t width, height;
    uint8_t unit[8];
};

static bool has_preset(const char *preset)
{
    return true;
}

static int open_encoder(const HxEncoderSettings *settings, HxEncoder **ret_encoder)
{
    g_assert_true(settings->width && settings->height && settings->bitrate);
    g_assert_true(settings->fps_num && settings->fps_den);
    *ret_encoder = g_new0(HxEncoder, 1);
    (*ret_encoder)->width = settings->width;
    (*ret_encoder)->height = settings->height;
    return 0;
}

static int set_rate(HxEncoder *encoder, uint32_t bitrate, uint32_t fps_num, uint32_t fps_den)
{
    g_assert_true(bitrate && fps_num && fps_den);
    return bitrate % 2 ? -EINVAL : 0;
}

static int encode(HxEncoder *encoder, const HxPicture *picture, bool force_keyframe,
                  HxAccessUnit *ret_unit)
{
    g_assert_cmpuint(picture->width, ==, encoder->width);
    g_assert_cmpuint(picture->height, ==, encoder->height);
    g_assert_cmpuint(picture->stride, >=, picture->width);
    for (uint32_t line = 0; line < picture->height; line++) {
        encoder->unit[0] ^= picture->y[(size_t)line * picture->stride + picture->width - 1];
        encoder->unit[1] ^= picture->uv[(size_t)line / 2 * picture->stride + picture->width - 1];
    }
    *ret_unit = (HxAccessUnit){encoder->unit, sizeof encoder->unit, force_keyframe};
    return 0;
}

static void close_encoder(HxEncoder *encoder)
{
    g_free(encoder);
}

static const HxEncoderClass null_encoder = {
    .name = "null",
    .has_preset = has_preset,
    .open = open_encoder,
    .set_rate = set_rate,
    .encode = encode,
    .close = close_encoder,
};

/* --- the client ----------------------------------------------------------------------------------
 */

static const HxEncoderClass *const encoders[] = {&null_encoder, NULL};
static HxConnectionContext context = {
    .encoders = encoders,
    .defaults = {.bitrate = 1000000,
                 .fps_num = 30,
                 .fps_den = 1,
                 .keyframe_interval = 100,
                 .threads = 1,
                 .preset = ""},
    .max_sessions = 4,
    .complaints = 1000, /* the log is full */
};

static void ended(HxConnection *connection, void *data)
{
}

/* What came is whole messages of the kinds that a service sends. */
static void check_answers(const GByteArray *answers)
{
    size_t at = 0;
    while (at < answers->len) {
        HxfrHeader header;
        g_assert_cmpint(hxfr_decode_header(answers->data + at, answers->len - at, &header), ==, 0);
        g_assert_true(header.type == HXFR_FRAME_RESPONSE || header.type == HXFR_PONG ||
                      header.type == HXFR_SCANOUT_RESP || header.type == HXFR_SUBSCRIBE_RESP ||
                      header.type == HXFR_ERROR);
        at += HXFR_HEADER_SIZE + header.payload_size;
    }
    g_assert_cmpuint(at, ==, answers->len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FuzzInput input = {data, size};
    gboolean is_serial = fuzz_u8(&input) & 1;
    if (!context.module) {
        context.module = hx_module_client_new(NULL);
        context.ended = ended;
    }
    int fds[2];
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
    HxConnection *connection = hx_connection_start(&context, fds[0], "fuzz", is_serial);
    hx_write_all(fds[1], input.data, input.size);
    shutdown(fds[1], SHUT_WR);
    g_autoptr(GByteArray) answers = g_byte_array_new();
    uint8_t part[4096];
    for (ssize_t n; (n = read(fds[1], part, sizeof part)) > 0;)
        g_byte_array_append(answers, part, (guint)n);
    hx_connection_free(connection);
    close(fds[1]);
    g_assert_cmpint(context.n_sessions, ==, 0);
    check_answers(answers);
    return 0;
}
