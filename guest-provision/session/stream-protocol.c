/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guest-provision/session/stream-protocol.h"

#include <json-glib/json-glib.h>
#include <string.h>

enum {
    INIT_SIZE = 13,
    FRAME_HEADER_SIZE = 15,
    FRAME_FLAGS_OFFSET = 2,
    BATCH_HEADER_SIZE = 3,
    ERROR_HEADER_SIZE = 3,
    PING_SIZE = 13,
    PONG_SIZE = 29,
    SIDE_MAX = 16384,
    FPS_MAX = 240,
};

/* --- big-endian fields ------------------------------------------------------------------------ */

static void put(GByteArray *out, guint64 value, unsigned int bytes)
{
    guint64 wire = GUINT64_TO_BE(value);
    g_byte_array_append(out, (const guint8 *)&wire + sizeof wire - bytes, bytes);
}

/* Take @bytes off the front of *data: the caller has checked that they are there. */
static guint64 take(const guint8 **data, unsigned int bytes)
{
    guint64 value = 0;
    for (unsigned int i = 0; i < bytes; i++)
        value = value << 8 | (*data)[i];
    *data += bytes;
    return value;
}

static GByteArray *message_new(HxStreamType type, gsize size)
{
    GByteArray *out = g_byte_array_sized_new((guint)size);
    put(out, type, 1);
    return out;
}

/* --- encoding --------------------------------------------------------------------------------- */

GBytes *hx_stream_encode_init(const HxStreamInit *init)
{
    GByteArray *out = message_new(HX_STREAM_INIT, INIT_SIZE);
    put(out, init->codec, 1);
    put(out, init->width, 2);
    put(out, init->height, 2);
    put(out, init->fps, 1);
    put(out, init->audio_channels, 1);
    put(out, init->sample_rate, 4);
    put(out, init->touch ? 1 : 0, 1);
    return g_byte_array_free_to_bytes(out);
}

static void put_frame(GByteArray *out, const HxStreamFrame *frame)
{
    put(out, frame->codec, 1);
    put(out, frame->flags, 1);
    put(out, frame->pts_us, 8);
    put(out, frame->width, 2);
    put(out, frame->height, 2);
    g_byte_array_append(out, frame->data, (guint)frame->size);
}

GBytes *hx_stream_encode_frame(const HxStreamFrame *frame)
{
    GByteArray *out = message_new(HX_STREAM_VIDEO_FRAME, FRAME_HEADER_SIZE + frame->size);
    put_frame(out, frame);
    return g_byte_array_free_to_bytes(out);
}

GBytes *hx_stream_frame_as_replay(GBytes *message)
{
    gsize size;
    const void *data = g_bytes_get_data(message, &size);
    guint8 *copy = g_memdup2(data, size);
    g_assert(size >= FRAME_HEADER_SIZE && copy[0] == HX_STREAM_VIDEO_FRAME);
    copy[FRAME_FLAGS_OFFSET] |= HX_STREAM_FRAME_REPLAY;
    return g_bytes_new_take(copy, size);
}

GBytes *hx_stream_encode_batch(const HxStreamFrame *frames, guint16 n_frames)
{
    GByteArray *out = message_new(HX_STREAM_VIDEO_BATCH, BATCH_HEADER_SIZE);
    put(out, n_frames, 2);
    for (guint i = 0; i < n_frames; i++) {
        put(out, FRAME_HEADER_SIZE + frames[i].size, 4);
        put(out, HX_STREAM_VIDEO_FRAME, 1);
        put_frame(out, &frames[i]);
    }
    return g_byte_array_free_to_bytes(out);
}

GBytes *hx_stream_encode_error(const char *text)
{
    g_autofree char *valid = g_utf8_make_valid(text, -1);
    gsize length = strlen(valid);
    if (length > G_MAXUINT16)
        length = g_utf8_find_prev_char(valid, valid + G_MAXUINT16 + 1) - valid;
    GByteArray *out = message_new(HX_STREAM_ERROR, ERROR_HEADER_SIZE + length);
    put(out, length, 2);
    g_byte_array_append(out, (const guint8 *)valid, (guint)length);
    return g_byte_array_free_to_bytes(out);
}

GBytes *hx_stream_encode_ping(const HxStreamPing *ping)
{
    GByteArray *out = message_new(HX_STREAM_PING, PING_SIZE);
    put(out, ping->sequence, 4);
    put(out, ping->client_time_us, 8);
    return g_byte_array_free_to_bytes(out);
}

GBytes *hx_stream_encode_pong(const HxStreamPong *pong)
{
    GByteArray *out = message_new(HX_STREAM_PONG, PONG_SIZE);
    put(out, pong->sequence, 4);
    put(out, pong->client_time_us, 8);
    put(out, pong->server_time_us, 8);
    put(out, pong->encoder_latency_ms, 2);
    put(out, pong->scheduling_p50_ms, 2);
    put(out, pong->scheduling_p99_ms, 2);
    put(out, pong->scheduling_max_ms, 2);
    return g_byte_array_free_to_bytes(out);
}

/* --- decoding --------------------------------------------------------------------------------- */

static gboolean long_enough(gsize size, gsize least, const char *what, GError **error)
{
    if (size >= least)
        return TRUE;
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "%s of %zu bytes; it has at least %zu",
                what, size, least);
    return FALSE;
}

static gboolean decode_init(const guint8 *data, gsize size, HxStreamInit *init, GError **error)
{
    if (!long_enough(size, INIT_SIZE, "StreamInit", error))
        return FALSE;
    data++;
    init->codec = (guint8)take(&data, 1);
    init->width = (guint16)take(&data, 2);
    init->height = (guint16)take(&data, 2);
    init->fps = (guint8)take(&data, 1);
    init->audio_channels = (guint8)take(&data, 1);
    init->sample_rate = (guint32)take(&data, 4);
    init->touch = take(&data, 1) != 0;
    return TRUE;
}

static gboolean decode_frame(const guint8 *data, gsize size, HxStreamFrame *frame, GError **error)
{
    if (!long_enough(size, FRAME_HEADER_SIZE, "VideoFrame", error))
        return FALSE;
    data++;
    frame->codec = (guint8)take(&data, 1);
    frame->flags = (guint8)take(&data, 1);
    frame->pts_us = take(&data, 8);
    frame->width = (guint16)take(&data, 2);
    frame->height = (guint16)take(&data, 2);
    frame->data = data;
    frame->size = size - FRAME_HEADER_SIZE;
    return TRUE;
}

static gboolean decode_batch(const guint8 *data, gsize size, HxStreamBatch *batch, GError **error)
{
    if (!long_enough(size, BATCH_HEADER_SIZE, "VideoBatch", error))
        return FALSE;
    data++;
    batch->left = (guint16)take(&data, 2);
    batch->data = data;
    batch->size = size - BATCH_HEADER_SIZE;
    return TRUE;
}

static gboolean decode_error(const guint8 *data, gsize size, HxStreamError *text, GError **error)
{
    if (!long_enough(size, ERROR_HEADER_SIZE, "StreamError", error))
        return FALSE;
    data++;
    gsize length = (gsize)take(&data, 2);
    if (!long_enough(size, ERROR_HEADER_SIZE + length, "StreamError", error))
        return FALSE;
    text->text = (const char *)data;
    text->length = length;
    if (g_utf8_validate_len(text->text, length, NULL))
        return TRUE;
    g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
                        "StreamError whose text is not UTF-8");
    return FALSE;
}

static gboolean decode_ping(const guint8 *data, gsize size, HxStreamPing *ping, GError **error)
{
    if (!long_enough(size, PING_SIZE, "Ping", error))
        return FALSE;
    data++;
    ping->sequence = (guint32)take(&data, 4);
    ping->client_time_us = take(&data, 8);
    return TRUE;
}

static gboolean decode_pong(const guint8 *data, gsize size, HxStreamPong *pong, GError **error)
{
    if (!long_enough(size, PONG_SIZE, "Pong", error))
        return FALSE;
    data++;
    pong->sequence = (guint32)take(&data, 4);
    pong->client_time_us = take(&data, 8);
    pong->server_time_us = take(&data, 8);
    pong->encoder_latency_ms = (guint16)take(&data, 2);
    pong->scheduling_p50_ms = (guint16)take(&data, 2);
    pong->scheduling_p99_ms = (guint16)take(&data, 2);
    pong->scheduling_max_ms = (guint16)take(&data, 2);
    return TRUE;
}

gboolean hx_stream_decode(const void *data, gsize size, HxStreamMessage *ret_message,
                          GError **error)
{
    if (!long_enough(size, 1, "message", error))
        return FALSE;
    *ret_message = (HxStreamMessage){.type = *(const guint8 *)data};
    switch (ret_message->type) {
    case HX_STREAM_INIT:
        return decode_init(data, size, &ret_message->init, error);
    case HX_STREAM_VIDEO_FRAME:
        return decode_frame(data, size, &ret_message->frame, error);
    case HX_STREAM_VIDEO_BATCH:
        return decode_batch(data, size, &ret_message->batch, error);
    case HX_STREAM_ERROR:
        return decode_error(data, size, &ret_message->error, error);
    case HX_STREAM_PING:
        return decode_ping(data, size, &ret_message->ping, error);
    case HX_STREAM_PONG:
        return decode_pong(data, size, &ret_message->pong, error);
    default:
        return TRUE;
    }
}

static gboolean batch_fail(HxStreamBatch *batch, GError **error)
{
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
                "VideoBatch ends %u frames early, or holds something else", batch->left);
    batch->left = 0;
    return FALSE;
}

gboolean hx_stream_batch_next(HxStreamBatch *batch, HxStreamFrame *ret_frame, GError **error)
{
    if (!batch->left)
        return FALSE;
    if (batch->size < 4)
        return batch_fail(batch, error);
    gsize length = (gsize)take(&batch->data, 4);
    batch->size -= 4;
    if (length > batch->size || length < FRAME_HEADER_SIZE ||
        batch->data[0] != HX_STREAM_VIDEO_FRAME ||
        !decode_frame(batch->data, length, ret_frame, NULL))
        return batch_fail(batch, error);
    batch->data += length;
    batch->size -= length;
    batch->left--;
    return TRUE;
}

/* --- JSON ------------------------------------------------------------------------------------- */

static char *json_text(JsonBuilder *builder)
{
    g_autoptr(JsonNode) root = json_builder_get_root(builder);
    return json_to_string(root, FALSE);
}

static void add_string(JsonBuilder *builder, const char *name, const char *value)
{
    json_builder_set_member_name(builder, name);
    json_builder_add_string_value(builder, value);
}

static void add_int(JsonBuilder *builder, const char *name, int value)
{
    json_builder_set_member_name(builder, name);
    json_builder_add_int_value(builder, value);
}

static void add_false(JsonBuilder *builder, const char *name)
{
    json_builder_set_member_name(builder, name);
    json_builder_add_boolean_value(builder, FALSE);
}

/* Parse @text, which must be one JSON object, into @parser.  The object is the parser's.  It is no
 * immutable one: json-glib 1.10 aborts where such a parser is given several values, "4{}". */
static JsonObject *parse_object(JsonParser *parser, const char *text, gsize size, GError **error)
{
    g_autoptr(GError) cause = NULL;
    if (!size || size > G_MAXINT16 || !g_utf8_validate_len(text, size, NULL)) {
        g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
                            "text message empty, too long, or not UTF-8");
        return NULL;
    }
    if (!json_parser_load_from_data(parser, text, (gssize)size, &cause)) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "not JSON: %s", cause->message);
        return NULL;
    }
    JsonNode *root = json_parser_get_root(parser);
    if (root && JSON_NODE_HOLDS_OBJECT(root))
        return json_node_get_object(root);
    g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "not a JSON object");
    return NULL;
}

static gboolean get_int(JsonObject *object, const char *name, int most, int *ret, GError **error)
{
    JsonNode *node = json_object_get_member(object, name);
    *ret = 0;
    if (!node || JSON_NODE_HOLDS_NULL(node))
        return TRUE;
    gint64 value = JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_INT64
                       ? json_node_get_int(node)
                       : -1;
    if (value >= 0 && value <= most) {
        *ret = (int)value;
        return TRUE;
    }
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "\"%s\" is no number from 0 to %d",
                name, most);
    return FALSE;
}

static const char *get_string(JsonObject *object, const char *name)
{
    JsonNode *node = json_object_get_member(object, name);
    if (!node || !JSON_NODE_HOLDS_VALUE(node) || json_node_get_value_type(node) != G_TYPE_STRING)
        return NULL;
    return json_node_get_string(node);
}

void hx_stream_request_clear(HxStreamRequest *request)
{
    g_clear_pointer(&request->session_id, g_free);
}

char *hx_stream_request_build(const HxStreamRequest *request)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();
    json_builder_begin_object(builder);
    add_string(builder, "type", "init");
    add_string(builder, "session_id", request->session_id ? request->session_id : "");
    add_int(builder, "width", request->width);
    add_int(builder, "height", request->height);
    add_int(builder, "fps", request->fps);
    add_int(builder, "bitrate", request->bitrate_kbit);
    add_int(builder, "packet_size", 1024);
    add_false(builder, "play_audio_local");
    add_int(builder, "video_supported_formats", HX_STREAM_CODEC_H264);
    if (request->gop_size)
        add_int(builder, "gop_size", request->gop_size);
    json_builder_end_object(builder);
    return json_text(builder);
}

gboolean hx_stream_request_parse(const char *text, gsize size, HxStreamRequest *ret_request,
                                 GError **error)
{
    g_autoptr(JsonParser) parser = json_parser_new();
    HxStreamRequest request = {0};
    *ret_request = request;
    JsonObject *object = parse_object(parser, text, size, error);
    if (!object)
        return FALSE;
    if (g_strcmp0(get_string(object, "type"), "init") != 0) {
        g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
                            "the first message is not of \"type\": \"init\"");
        return FALSE;
    }
    if (!get_int(object, "width", SIDE_MAX, &request.width, error) ||
        !get_int(object, "height", SIDE_MAX, &request.height, error) ||
        !get_int(object, "fps", FPS_MAX, &request.fps, error) ||
        !get_int(object, "bitrate", G_MAXINT32, &request.bitrate_kbit, error) ||
        !get_int(object, "gop_size", G_MAXINT32, &request.gop_size, error))
        return FALSE;
    request.session_id = g_strdup(get_string(object, "session_id"));
    *ret_request = request;
    return TRUE;
}

char *hx_stream_complete_build(int width, int height)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();
    json_builder_begin_object(builder);
    json_builder_set_member_name(builder, "ConnectionComplete");
    json_builder_begin_object(builder);
    json_builder_set_member_name(builder, "capabilities");
    json_builder_begin_object(builder);
    add_false(builder, "touch");
    json_builder_end_object(builder);
    add_int(builder, "width", width);
    add_int(builder, "height", height);
    json_builder_end_object(builder);
    json_builder_end_object(builder);
    return json_text(builder);
}

gboolean hx_stream_complete_parse(const char *text, gsize size, int *ret_width, int *ret_height,
                                  GError **error)
{
    g_autoptr(JsonParser) parser = json_parser_new();
    JsonObject *object = parse_object(parser, text, size, error);
    if (!object)
        return FALSE;
    JsonNode *node = json_object_get_member(object, "ConnectionComplete");
    if (!node || !JSON_NODE_HOLDS_OBJECT(node))
        return FALSE;
    JsonObject *complete = json_node_get_object(node);
    return get_int(complete, "width", SIDE_MAX, ret_width, error) &&
           get_int(complete, "height", SIDE_MAX, ret_height, error);
}

void hx_stream_source_clear(HxStreamSource *source)
{
    g_clear_pointer(&source->source, g_free);
    g_clear_pointer(&source->encoder, g_free);
    g_clear_pointer(&source->reason, g_free);
}

char *hx_stream_source_build(const HxStreamSource *source)
{
    g_autofree char *reason = source->reason ? g_utf8_make_valid(source->reason, -1) : NULL;
    g_autoptr(JsonBuilder) builder = json_builder_new();
    json_builder_begin_object(builder);
    json_builder_set_member_name(builder, "FrameSource");
    json_builder_begin_object(builder);
    add_string(builder, "source", source->source);
    add_string(builder, "encoder", source->encoder);
    if (reason)
        add_string(builder, "reason", reason);
    json_builder_end_object(builder);
    json_builder_end_object(builder);
    return json_text(builder);
}

gboolean hx_stream_source_parse(const char *text, gsize size, HxStreamSource *ret_source,
                                GError **error)
{
    g_autoptr(JsonParser) parser = json_parser_new();
    *ret_source = (HxStreamSource){0};
    JsonObject *object = parse_object(parser, text, size, error);
    if (!object)
        return FALSE;
    JsonNode *node = json_object_get_member(object, "FrameSource");
    if (!node || !JSON_NODE_HOLDS_OBJECT(node))
        return FALSE;
    JsonObject *told = json_node_get_object(node);
    const char *source = get_string(told, "source"), *encoder = get_string(told, "encoder");
    if (!source || !encoder) {
        g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
                            "FrameSource without \"source\" and \"encoder\"");
        return FALSE;
    }
    *ret_source = (HxStreamSource){.source = g_strdup(source),
                                   .encoder = g_strdup(encoder),
                                   .reason = g_strdup(get_string(told, "reason"))};
    return TRUE;
}
