/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The Helix session stream, both sides: bytes and JSON to messages and back, without any I/O.
 *
 * Binary messages are big-endian.  Decoded messages point into the buffer they were decoded from.
 * Errors are G_IO_ERROR_INVALID_DATA.  All functions may be called from any thread. */
#pragma once

#include <gio/gio.h>

typedef enum {
    HX_STREAM_VIDEO_FRAME = 0x01,
    HX_STREAM_VIDEO_BATCH = 0x03,
    HX_STREAM_INIT = 0x30,
    HX_STREAM_ERROR = 0x31,
    HX_STREAM_PING = 0x40,
    HX_STREAM_PONG = 0x41,
} HxStreamType;

enum {
    HX_STREAM_CODEC_H264 = 1,
    HX_STREAM_FRAME_KEY = 1,    /* HxStreamFrame.flags: decodable by itself */
    HX_STREAM_FRAME_REPLAY = 2, /* HxStreamFrame.flags: sent before to others, for a late viewer */
};

typedef struct {
    guint8 codec;
    guint16 width, height; /* pixels */
    guint8 fps;
    guint8 audio_channels; /* 0: no audio */
    guint32 sample_rate;   /* Hz */
    gboolean touch;
} HxStreamInit;

typedef struct {
    guint8 codec;
    guint8 flags;
    guint64 pts_us;        /* microseconds */
    guint16 width, height; /* pixels */
    const guint8 *data;    /* Annex-B access unit, borrowed */
    gsize size;
} HxStreamFrame;

/* Walk it with hx_stream_batch_next(). */
typedef struct {
    guint16 left; /* frames not yet read */
    const guint8 *data;
    gsize size;
} HxStreamBatch;

typedef struct {
    const char *text; /* not NUL-terminated, borrowed, valid UTF-8 */
    gsize length;
} HxStreamError;

typedef struct {
    guint32 sequence;
    guint64 client_time_us;
} HxStreamPing;

typedef struct {
    guint32 sequence;
    guint64 client_time_us; /* as the ping had it */
    guint64 server_time_us;
    guint16 encoder_latency_ms;
    guint16 scheduling_p50_ms, scheduling_p99_ms, scheduling_max_ms;
} HxStreamPong;

typedef struct {
    guint8 type; /* HxStreamType, or another first byte: a message to be skipped */
    union {
        HxStreamInit init;
        HxStreamFrame frame;
        HxStreamBatch batch;
        HxStreamError error;
        HxStreamPing ping;
        HxStreamPong pong;
    };
} HxStreamMessage;

/* Encode one message; the caller owns the result. */
GBytes *hx_stream_encode_init(const HxStreamInit *init);
GBytes *hx_stream_encode_frame(const HxStreamFrame *frame);
/* The same VideoFrame @message with HX_STREAM_FRAME_REPLAY. */
GBytes *hx_stream_frame_as_replay(GBytes *message);
/* Several frames in one message, at most 65535. */
GBytes *hx_stream_encode_batch(const HxStreamFrame *frames, guint16 n_frames);
/* @text is cut at the last whole character within 65535 bytes; bytes that are no UTF-8 are
 * replaced. */
GBytes *hx_stream_encode_error(const char *text);
GBytes *hx_stream_encode_ping(const HxStreamPing *ping);
GBytes *hx_stream_encode_pong(const HxStreamPong *pong);

/* Decode one binary message of either side.  A first byte that is not of HxStreamType succeeds with
 * that type alone: audio, cursors, presence and input are for others.  Bytes beyond a message of
 * fixed length are ignored, as later versions may add fields. */
gboolean hx_stream_decode(const void *data, gsize size, HxStreamMessage *ret_message,
                          GError **error);

/* The next frame of @batch.  FALSE without @error at the end, FALSE with @error where the batch is
 * malformed, after which it is at its end. */
gboolean hx_stream_batch_next(HxStreamBatch *batch, HxStreamFrame *ret_frame, GError **error);

/* The viewer's first message, text JSON.  0 leaves a number to the session. */
typedef struct {
    char *session_id;
    int width, height; /* pixels, up to 16384 */
    int fps;           /* up to 240 */
    int bitrate_kbit;  /* kbit/s */
    int gop_size;      /* frames */
} HxStreamRequest;

void hx_stream_request_clear(HxStreamRequest *request);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(HxStreamRequest, hx_stream_request_clear)

/* The JSON text of @request, for g_free. */
char *hx_stream_request_build(const HxStreamRequest *request);
/* Parse @size bytes of JSON.  @ret_request is to be cleared by the caller; it is empty on error.
 * An unknown key is ignored; a number out of its range, or of another type, is an error. */
gboolean hx_stream_request_parse(const char *text, gsize size, HxStreamRequest *ret_request,
                                 GError **error);

/* The server's answer, text JSON: the size in pixels that the stream has. */
char *hx_stream_complete_build(int width, int height);
/* FALSE without @error where @text is valid JSON but another message. */
gboolean hx_stream_complete_parse(const char *text, gsize size, int *ret_width, int *ret_height,
                                  GError **error);

/* Where the frames come from, text JSON, which a session tells a viewer that joins, and each time
 * that it changes: {"FrameSource":{"source":S,"encoder":E,"reason":R}}.  It is of this project;
 * other viewers pass it over, as they do with each text that they do not know. */
typedef struct {
    char *source;  /* "resource", "pixels" or "guest" */
    char *encoder; /* the element: "vsockenc", "x264enc" */
    char *reason;  /* why no better way is taken; NULL: it is the best */
} HxStreamSource;

void hx_stream_source_clear(HxStreamSource *source);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(HxStreamSource, hx_stream_source_clear)

/* The JSON text of @source, for g_free; bytes that are no UTF-8 are replaced. */
char *hx_stream_source_build(const HxStreamSource *source);
/* FALSE without @error where @text is valid JSON but another message.  @ret_source is to be cleared
 * by the caller; it is empty on error. */
gboolean hx_stream_source_parse(const char *text, gsize size, HxStreamSource *ret_source,
                                GError **error);
