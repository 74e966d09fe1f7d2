/* SPDX-License-Identifier: GPL-2.0-or-later */
/* HXFR, the frame-export protocol between an encoder element in a guest and the host's service. */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* All fields are packed and little-endian.  A message is a header of 12 bytes and payload_size
 * bytes of payload; a stream connection carries whole messages one after another.  Every request
 * has one answer (its response, or ERROR), in the order of the requests; CONFIG_REQ and
 * KEYFRAME_REQ have none, except an ERROR where they are wrong.
 *
 * Plain C without dependencies, usable from any thread: encoders fill a buffer of the size they are
 * named with and return nothing; decoders take what came with its length, read nothing beyond it,
 * and return 0 or a negative errno. */

#define HXFR_MAGIC 0x52465848u /* "HXFR" */
#define HXFR_PORT 5000         /* on vsock */

typedef enum {
    HXFR_FRAME_REQUEST = 0x01,
    HXFR_FRAME_RESPONSE = 0x02,
    HXFR_KEYFRAME_REQ = 0x03,
    HXFR_CONFIG_REQ = 0x04,
    HXFR_CONFIG_RESP = 0x05,
    HXFR_PING = 0x10,
    HXFR_PONG = 0x11,
    HXFR_ENABLE_SCANOUT = 0x20,
    HXFR_DISABLE_SCANOUT = 0x21,
    HXFR_SCANOUT_RESP = 0x22,
    HXFR_SUBSCRIBE = 0x30,
    HXFR_SUBSCRIBE_RESP = 0x31,
    HXFR_ERROR = 0xFF,
} HxfrType;

/* Flags of FRAME_REQUEST. */
#define HXFR_FLAG_PIXELS 0x01       /* the pixels follow in the payload */
#define HXFR_FLAG_MAY_BE_EMPTY 0x02 /* an unchanged picture may be answered with nal_count 0 */

typedef enum {
    HXFR_E_INVALID = -1,
    HXFR_E_NOT_FOUND = -2,  /* no such resource */
    HXFR_E_UNREADABLE = -3, /* a resource that cannot be read: send pixels instead */
    HXFR_E_ENCODE = -5,
    HXFR_E_NOT_CONFIGURED = -6,
    HXFR_E_INTERNAL = -99,
} HxfrErrorCode;

/* DRM fourcc, drm_fourcc.h: the name tells a little-endian word's channels from its top byte down,
 * so that XR24 is B, G, R, X in memory (GStreamer's BGRx) and XB24 is R, G, B, X (RGBx). */
#define HXFR_FORMAT_AR24 0x34325241u
#define HXFR_FORMAT_XR24 0x34325258u
#define HXFR_FORMAT_AB24 0x34324241u
#define HXFR_FORMAT_XB24 0x34324258u
#define HXFR_FORMAT_NV12 0x3231564Eu

/* Sizes of whole messages, header included; where data follows, without it. */
#define HXFR_HEADER_SIZE 12
#define HXFR_FRAME_REQUEST_SIZE 56
#define HXFR_FRAME_RESPONSE_SIZE 36
#define HXFR_CONFIG_REQ_SIZE 40
#define HXFR_ENABLE_SCANOUT_SIZE 28
#define HXFR_DISABLE_SCANOUT_SIZE 16
#define HXFR_SCANOUT_RESP_SIZE 84
#define HXFR_SUBSCRIBE_SIZE 16
#define HXFR_SUBSCRIBE_RESP_SIZE 20
#define HXFR_ERROR_SIZE 272
#define HXFR_ERROR_MESSAGE_SIZE 256

#define HXFR_PIXELS_MAX (64u * 1024 * 1024)
#define HXFR_DIMENSION_MAX 8192
/* A message of a type unknown to this header may be this long, to be read over. */
#define HXFR_UNKNOWN_PAYLOAD_MAX (64u * 1024)

typedef struct {
    uint8_t type; /* HxfrType, or a value that is not in it */
    uint8_t flags;
    uint16_t session_id;
    uint32_t payload_size;
} HxfrHeader;

/* Of a resource that is a texture width and height tell which part is meant, its upper left one, 0
 * being all; format and stride are its own.  Of a blob they tell the layout of its bytes, as of
 * pixels: from the first byte on, linear, and not NV12. */
typedef struct {
    uint32_t resource_id;
    uint32_t width;  /* pixels */
    uint32_t height; /* lines */
    uint32_t format; /* DRM fourcc */
    uint32_t stride; /* bytes from line to line */
    int64_t pts;     /* ns; comes back unchanged */
    int64_t duration;
    bool force_keyframe;
} HxfrFrameRequest;

typedef struct {
    int64_t pts;
    int64_t dts;
    bool is_keyframe;
    uint32_t nal_count; /* 0: the picture is unchanged */
} HxfrFrameResponse;

/* A field of 0 leaves that setting as it is. */
typedef struct {
    uint32_t width;
    uint32_t height;
    uint32_t bitrate; /* bit/s */
    uint32_t fps_num;
    uint32_t fps_den;
    uint8_t profile;
    uint8_t level;
    uint8_t realtime;
} HxfrConfigReq;

typedef struct {
    int32_t code;                              /* HxfrErrorCode */
    char message[HXFR_ERROR_MESSAGE_SIZE + 1]; /* always terminated */
} HxfrError;

static inline uint16_t hxfr_get16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t hxfr_get32(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t hxfr_get64(const uint8_t *p)
{
    return hxfr_get32(p) | (uint64_t)hxfr_get32(p + 4) << 32;
}

static inline void hxfr_put16(uint8_t *p, uint16_t value)
{
    p[0] = value & 0xff;
    p[1] = value >> 8;
}

static inline void hxfr_put32(uint8_t *p, uint32_t value)
{
    hxfr_put16(p, value & 0xffff);
    hxfr_put16(p + 2, value >> 16);
}

static inline void hxfr_put64(uint8_t *p, uint64_t value)
{
    hxfr_put32(p, value & 0xffffffff);
    hxfr_put32(p + 4, value >> 32);
}

/* --- header ------------------------------------------------------------------------------------
 */

/* Whether a payload of @size bytes can be one of @type. */
static inline bool hxfr_payload_size_fits(uint8_t type, uint8_t flags, uint32_t size)
{
    switch (type) {
    case HXFR_FRAME_REQUEST: {
        uint32_t fixed = HXFR_FRAME_REQUEST_SIZE - HXFR_HEADER_SIZE;
        return flags & HXFR_FLAG_PIXELS ? size >= fixed && size - fixed <= HXFR_PIXELS_MAX
                                        : size == fixed;
    }
    case HXFR_FRAME_RESPONSE:
        return size >= HXFR_FRAME_RESPONSE_SIZE - HXFR_HEADER_SIZE && size <= HXFR_PIXELS_MAX;
    case HXFR_KEYFRAME_REQ:
    case HXFR_PING:
    case HXFR_PONG:
        return size == 0;
    case HXFR_CONFIG_REQ:
        return size == HXFR_CONFIG_REQ_SIZE - HXFR_HEADER_SIZE;
    case HXFR_ENABLE_SCANOUT:
        return size == HXFR_ENABLE_SCANOUT_SIZE - HXFR_HEADER_SIZE;
    case HXFR_DISABLE_SCANOUT:
        return size == HXFR_DISABLE_SCANOUT_SIZE - HXFR_HEADER_SIZE;
    case HXFR_SCANOUT_RESP:
        return size == HXFR_SCANOUT_RESP_SIZE - HXFR_HEADER_SIZE;
    case HXFR_SUBSCRIBE:
        return size == HXFR_SUBSCRIBE_SIZE - HXFR_HEADER_SIZE;
    case HXFR_SUBSCRIBE_RESP:
        return size == HXFR_SUBSCRIBE_RESP_SIZE - HXFR_HEADER_SIZE;
    case HXFR_ERROR:
        return size == HXFR_ERROR_SIZE - HXFR_HEADER_SIZE;
    default:
        return size <= HXFR_UNKNOWN_PAYLOAD_MAX;
    }
}

static inline void hxfr_encode_header(uint8_t buffer[HXFR_HEADER_SIZE], const HxfrHeader *header)
{
    hxfr_put32(buffer, HXFR_MAGIC);
    buffer[4] = header->type;
    buffer[5] = header->flags;
    hxfr_put16(buffer + 6, header->session_id);
    hxfr_put32(buffer + 8, header->payload_size);
}

/* 0; -EAGAIN where @length is short of a header; -EBADMSG where the magic is wrong; -EMSGSIZE where
 * the payload cannot be one of that type (@ret_header is then filled all the same).  After the last
 * two the stream cannot be followed any more. */
static inline int hxfr_decode_header(const void *buffer, size_t length, HxfrHeader *ret_header)
{
    const uint8_t *p = (const uint8_t *)buffer;
    if (length < HXFR_HEADER_SIZE)
        return -EAGAIN;
    if (hxfr_get32(p) != HXFR_MAGIC)
        return -EBADMSG;
    ret_header->type = p[4];
    ret_header->flags = p[5];
    ret_header->session_id = hxfr_get16(p + 6);
    ret_header->payload_size = hxfr_get32(p + 8);
    return hxfr_payload_size_fits(p[4], p[5], ret_header->payload_size) ? 0 : -EMSGSIZE;
}

/* A message that is a header alone: KEYFRAME_REQ, PING, PONG. */
static inline void hxfr_encode_empty(uint8_t buffer[HXFR_HEADER_SIZE], HxfrType type,
                                     uint16_t session_id)
{
    HxfrHeader header = {(uint8_t)type, 0, session_id, 0};
    hxfr_encode_header(buffer, &header);
}

/* --- FRAME_REQUEST ------------------------------------------------------------------------------
 */

/* @pixels_size bytes of pixels follow the buffer on the wire where @flags has HXFR_FLAG_PIXELS;
 * otherwise it must be 0. */
static inline void hxfr_encode_frame_request(uint8_t buffer[HXFR_FRAME_REQUEST_SIZE],
                                             uint16_t session_id, uint8_t flags,
                                             const HxfrFrameRequest *request, uint32_t pixels_size)
{
    HxfrHeader header = {HXFR_FRAME_REQUEST, flags, session_id,
                         HXFR_FRAME_REQUEST_SIZE - HXFR_HEADER_SIZE + pixels_size};
    hxfr_encode_header(buffer, &header);
    hxfr_put32(buffer + 12, request->resource_id);
    hxfr_put32(buffer + 16, request->width);
    hxfr_put32(buffer + 20, request->height);
    hxfr_put32(buffer + 24, request->format);
    hxfr_put32(buffer + 28, request->stride);
    hxfr_put64(buffer + 32, (uint64_t)request->pts);
    hxfr_put64(buffer + 40, (uint64_t)request->duration);
    memset(buffer + 48, 0, 8);
    buffer[48] = request->force_keyframe;
}

/* Decode the payload; pixels, if any, follow at HXFR_FRAME_REQUEST_SIZE - HXFR_HEADER_SIZE.
 * 0, or -EINVAL where it is too short.  The values are not judged. */
static inline int hxfr_decode_frame_request(const void *payload, size_t length,
                                            HxfrFrameRequest *ret_request)
{
    const uint8_t *p = (const uint8_t *)payload;
    if (length < HXFR_FRAME_REQUEST_SIZE - HXFR_HEADER_SIZE)
        return -EINVAL;
    ret_request->resource_id = hxfr_get32(p);
    ret_request->width = hxfr_get32(p + 4);
    ret_request->height = hxfr_get32(p + 8);
    ret_request->format = hxfr_get32(p + 12);
    ret_request->stride = hxfr_get32(p + 16);
    ret_request->pts = (int64_t)hxfr_get64(p + 20);
    ret_request->duration = (int64_t)hxfr_get64(p + 28);
    ret_request->force_keyframe = p[36] != 0;
    return 0;
}

/* The bytes that @height lines of @width pixels take, the last line without its padding.  NV12: the
 * Y plane of height rounded up to even, then the UV plane with the same stride.
 * 0 where the format is unknown, a size is 0 or over HXFR_DIMENSION_MAX, the stride is shorter than
 * a line, or the whole is over HXFR_PIXELS_MAX. */
static inline size_t hxfr_pixels_size(uint32_t format, uint32_t width, uint32_t height,
                                      uint32_t stride)
{
    if (!width || !height || width > HXFR_DIMENSION_MAX || height > HXFR_DIMENSION_MAX)
        return 0;
    uint64_t line, lines;
    switch (format) {
    case HXFR_FORMAT_AR24:
    case HXFR_FORMAT_XR24:
    case HXFR_FORMAT_AB24:
    case HXFR_FORMAT_XB24:
        line = (uint64_t)width * 4;
        lines = height;
        break;
    case HXFR_FORMAT_NV12:
        line = (width + 1) / 2 * 2;
        lines = ((uint64_t)height + 1) / 2 * 3;
        break;
    default:
        return 0;
    }
    uint64_t size = stride * (lines - 1) + line;
    return stride < line || size > HXFR_PIXELS_MAX ? 0 : (size_t)size;
}

/* --- FRAME_RESPONSE -----------------------------------------------------------------------------
 */

/* An answer with one access unit of @unit_size bytes, which follows the buffer on the wire.
 * The buffer holds the unit's size too.  @unit_size 0: nal_count 0, nothing follows, and the last 4
 * bytes of the buffer are not to be sent. */
#define HXFR_FRAME_RESPONSE_ONE_SIZE (HXFR_FRAME_RESPONSE_SIZE + 4)
static inline void hxfr_encode_frame_response(uint8_t buffer[HXFR_FRAME_RESPONSE_ONE_SIZE],
                                              uint16_t session_id,
                                              const HxfrFrameResponse *response, uint32_t unit_size)
{
    HxfrHeader header = {HXFR_FRAME_RESPONSE, 0, session_id,
                         HXFR_FRAME_RESPONSE_SIZE - HXFR_HEADER_SIZE +
                             (unit_size ? 4 + unit_size : 0)};
    hxfr_encode_header(buffer, &header);
    hxfr_put64(buffer + 12, (uint64_t)response->pts);
    hxfr_put64(buffer + 20, (uint64_t)response->dts);
    memset(buffer + 28, 0, 4);
    buffer[28] = response->is_keyframe;
    hxfr_put32(buffer + 32, unit_size ? 1 : 0);
    hxfr_put32(buffer + 36, unit_size);
}

/* Decode the fixed part and check that nal_count pieces are there and fill the payload exactly.
 * 0, or -EINVAL. */
static inline int hxfr_decode_frame_response(const void *payload, size_t length,
                                             HxfrFrameResponse *ret_response)
{
    const uint8_t *p = (const uint8_t *)payload;
    size_t offset = HXFR_FRAME_RESPONSE_SIZE - HXFR_HEADER_SIZE;
    if (length < offset)
        return -EINVAL;
    ret_response->pts = (int64_t)hxfr_get64(p);
    ret_response->dts = (int64_t)hxfr_get64(p + 8);
    ret_response->is_keyframe = p[16] != 0;
    ret_response->nal_count = hxfr_get32(p + 20);
    for (uint32_t i = 0; i < ret_response->nal_count; i++) {
        if (length - offset < 4)
            return -EINVAL;
        uint32_t size = hxfr_get32(p + offset);
        offset += 4;
        if (length - offset < size)
            return -EINVAL;
        offset += size;
    }
    return offset == length ? 0 : -EINVAL;
}

/* The first piece at or after *@offset of a payload that hxfr_decode_frame_response() accepted, and
 * *@offset moved behind it; start with *@offset 0.  The data stays the payload's.
 * False after the last. */
static inline bool hxfr_next_nal(const void *payload, size_t length, size_t *offset,
                                 const uint8_t **ret_data, size_t *ret_size)
{
    const uint8_t *p = (const uint8_t *)payload;
    if (*offset == 0)
        *offset = HXFR_FRAME_RESPONSE_SIZE - HXFR_HEADER_SIZE;
    if (*offset > length || length - *offset < 4)
        return false;
    uint32_t size = hxfr_get32(p + *offset);
    if (length - *offset - 4 < size)
        return false;
    *ret_data = p + *offset + 4;
    *ret_size = size;
    *offset += 4 + (size_t)size;
    return true;
}

/* --- CONFIG_REQ ---------------------------------------------------------------------------------
 */

static inline void hxfr_encode_config_req(uint8_t buffer[HXFR_CONFIG_REQ_SIZE], uint16_t session_id,
                                          const HxfrConfigReq *config)
{
    HxfrHeader header = {HXFR_CONFIG_REQ, 0, session_id, HXFR_CONFIG_REQ_SIZE - HXFR_HEADER_SIZE};
    hxfr_encode_header(buffer, &header);
    hxfr_put32(buffer + 12, config->width);
    hxfr_put32(buffer + 16, config->height);
    hxfr_put32(buffer + 20, config->bitrate);
    hxfr_put32(buffer + 24, config->fps_num);
    hxfr_put32(buffer + 28, config->fps_den);
    buffer[32] = config->profile;
    buffer[33] = config->level;
    buffer[34] = config->realtime;
    memset(buffer + 35, 0, 5);
}

/* 0, or -EINVAL where the length is wrong.  The values are not judged. */
static inline int hxfr_decode_config_req(const void *payload, size_t length,
                                         HxfrConfigReq *ret_config)
{
    const uint8_t *p = (const uint8_t *)payload;
    if (length != HXFR_CONFIG_REQ_SIZE - HXFR_HEADER_SIZE)
        return -EINVAL;
    ret_config->width = hxfr_get32(p);
    ret_config->height = hxfr_get32(p + 4);
    ret_config->bitrate = hxfr_get32(p + 8);
    ret_config->fps_num = hxfr_get32(p + 12);
    ret_config->fps_den = hxfr_get32(p + 16);
    ret_config->profile = p[20];
    ret_config->level = p[21];
    ret_config->realtime = p[22];
    return 0;
}

/* --- SCANOUT_RESP, SUBSCRIBE_RESP ---------------------------------------------------------------
 */

/* ENABLE_SCANOUT, DISABLE_SCANOUT and SUBSCRIBE begin their payload with scanout_id.  0, or
 * -EINVAL. */
static inline int hxfr_decode_scanout_id(const void *payload, size_t length,
                                         uint32_t *ret_scanout_id)
{
    if (length < 4)
        return -EINVAL;
    *ret_scanout_id = hxfr_get32((const uint8_t *)payload);
    return 0;
}

/* success = 0, no connector. */
static inline void hxfr_encode_scanout_refusal(uint8_t buffer[HXFR_SCANOUT_RESP_SIZE],
                                               uint16_t session_id, uint32_t scanout_id)
{
    HxfrHeader header = {HXFR_SCANOUT_RESP, 0, session_id,
                         HXFR_SCANOUT_RESP_SIZE - HXFR_HEADER_SIZE};
    hxfr_encode_header(buffer, &header);
    memset(buffer + 12, 0, HXFR_SCANOUT_RESP_SIZE - 12);
    hxfr_put32(buffer + 12, scanout_id);
}

/* success = 0. */
static inline void hxfr_encode_subscribe_refusal(uint8_t buffer[HXFR_SUBSCRIBE_RESP_SIZE],
                                                 uint16_t session_id, uint32_t scanout_id)
{
    HxfrHeader header = {HXFR_SUBSCRIBE_RESP, 0, session_id,
                         HXFR_SUBSCRIBE_RESP_SIZE - HXFR_HEADER_SIZE};
    hxfr_encode_header(buffer, &header);
    hxfr_put32(buffer + 12, scanout_id);
    hxfr_put32(buffer + 16, 0);
}

/* --- ERROR --------------------------------------------------------------------------------------
 */

/* @message is cut at 255 bytes. */
static inline void hxfr_encode_error(uint8_t buffer[HXFR_ERROR_SIZE], uint16_t session_id,
                                     HxfrErrorCode code, const char *message)
{
    HxfrHeader header = {HXFR_ERROR, 0, session_id, HXFR_ERROR_SIZE - HXFR_HEADER_SIZE};
    hxfr_encode_header(buffer, &header);
    hxfr_put32(buffer + 12, (uint32_t)code);
    memset(buffer + 16, 0, HXFR_ERROR_MESSAGE_SIZE);
    memcpy(buffer + 16, message, strnlen(message, HXFR_ERROR_MESSAGE_SIZE - 1));
}

/* 0, or -EINVAL where the length is wrong.  The text is the other side's: print it with care. */
static inline int hxfr_decode_error(const void *payload, size_t length, HxfrError *ret_error)
{
    const uint8_t *p = (const uint8_t *)payload;
    if (length != HXFR_ERROR_SIZE - HXFR_HEADER_SIZE)
        return -EINVAL;
    ret_error->code = (int32_t)hxfr_get32(p);
    memcpy(ret_error->message, p + 4, HXFR_ERROR_MESSAGE_SIZE);
    ret_error->message[HXFR_ERROR_MESSAGE_SIZE] = '\0';
    return 0;
}
