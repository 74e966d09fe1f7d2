/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a session and its viewer say to each other: any bytes as a message of either.  What is
 * understood is encoded again, and must be understood alike. */
#include <stdint.h>
#include <string.h>

#include "guest-provision/session/stream-protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void assert_within(const uint8_t *data, size_t size, const void *part, size_t length)
{
    const uint8_t *begin = part;
    g_assert_true(begin >= data && begin + length <= data + size);
}

/* Takes @bytes, which are the begin of what was decoded: what follows a message is passed over. */
static void assert_again(GBytes *bytes, const uint8_t *data, size_t size)
{
    gsize length;
    const void *encoded = g_bytes_get_data(bytes, &length);
    g_assert_cmpuint(length, <=, size);
    g_assert_cmpmem(encoded, length, data, length);
    g_bytes_unref(bytes);
}

static void walk_batch(HxStreamBatch batch, const uint8_t *data, size_t size)
{
    g_autoptr(GArray) frames = g_array_new(FALSE, FALSE, sizeof(HxStreamFrame));
    g_autoptr(GError) error = NULL;
    HxStreamFrame frame;
    guint16 count = batch.left;
    while (hx_stream_batch_next(&batch, &frame, &error)) {
        assert_within(data, size, frame.data, frame.size);
        g_array_append_val(frames, frame);
    }
    g_assert_cmpuint(batch.left, ==, 0);
    g_assert_true((error == NULL) == (frames->len == count));
    if (!error)
        assert_again(hx_stream_encode_batch((HxStreamFrame *)frames->data, count), data, size);
}

static void take_binary(const uint8_t *data, size_t size)
{
    HxStreamMessage message;
    g_autoptr(GError) error = NULL;
    if (!hx_stream_decode(data, size, &message, &error)) {
        g_assert_nonnull(error);
        return;
    }
    g_assert_cmpuint(message.type, ==, data[0]);
    switch (message.type) {
    case HX_STREAM_VIDEO_FRAME:
        assert_within(data, size, message.frame.data, message.frame.size);
        assert_again(hx_stream_encode_frame(&message.frame), data, size);
        break;
    case HX_STREAM_VIDEO_BATCH:
        walk_batch(message.batch, data, size);
        break;
    case HX_STREAM_INIT: {
        /* Any byte but 0 is true. */
        g_autofree uint8_t *touched = g_memdup2(data, size);
        touched[12] = touched[12] != 0;
        assert_again(hx_stream_encode_init(&message.init), touched, size);
        break;
    }
    case HX_STREAM_ERROR: {
        assert_within(data, size, message.error.text, message.error.length);
        g_autofree char *text = g_strndup(message.error.text, message.error.length);
        assert_again(hx_stream_encode_error(text), data, size);
        break;
    }
    case HX_STREAM_PING:
        assert_again(hx_stream_encode_ping(&message.ping), data, size);
        break;
    case HX_STREAM_PONG:
        assert_again(hx_stream_encode_pong(&message.pong), data, size);
        break;
    }
}

/* The session's text: what it builds of it is the same size. */
static void take_complete(const char *text, size_t size)
{
    int width = 0, height = 0, again_width = -1, again_height = -1;
    if (!hx_stream_complete_parse(text, size, &width, &height, NULL))
        return;
    g_autofree char *built = hx_stream_complete_build(width, height);
    g_assert_true(
        hx_stream_complete_parse(built, strlen(built), &again_width, &again_height, NULL));
    g_assert_cmpint(again_width, ==, width);
    g_assert_cmpint(again_height, ==, height);
}

static void take_source(const char *text, size_t size)
{
    g_auto(HxStreamSource) source = {0};
    g_auto(HxStreamSource) again = {0};
    if (!hx_stream_source_parse(text, size, &source, NULL)) {
        g_assert_null(source.source);
        return;
    }
    g_autofree char *built = hx_stream_source_build(&source);
    /* What JSON escapes takes more room: a text near the bound may go beyond it. */
    if (strlen(built) > G_MAXINT16)
        return;
    g_assert_true(hx_stream_source_parse(built, strlen(built), &again, NULL));
    g_assert_cmpstr(again.source, ==, source.source);
    g_assert_cmpstr(again.encoder, ==, source.encoder);
    g_assert_cmpstr(again.reason, ==, source.reason);
}

/* The viewer's. */
static void take_request(const char *text, size_t size)
{
    g_auto(HxStreamRequest) request = {0};
    g_auto(HxStreamRequest) again = {0};
    if (!hx_stream_request_parse(text, size, &request, NULL)) {
        g_assert_null(request.session_id);
        return;
    }
    g_autofree char *built = hx_stream_request_build(&request);
    g_assert_true(hx_stream_request_parse(built, strlen(built), &again, NULL));
    g_assert_cmpstr(again.session_id, ==, request.session_id ? request.session_id : "");
    g_assert_cmpint(again.width, ==, request.width);
    g_assert_cmpint(again.height, ==, request.height);
    g_assert_cmpint(again.fps, ==, request.fps);
    g_assert_cmpint(again.bitrate_kbit, ==, request.bitrate_kbit);
    g_assert_cmpint(again.gop_size, ==, request.gop_size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    take_binary(data, size);
    take_complete((const char *)data, size);
    take_source((const char *)data, size);
    take_request((const char *)data, size);
    return 0;
}
