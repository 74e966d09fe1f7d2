/* SPDX-License-Identifier: GPL-2.0-or-later */
/* HXFR's layouts, byte by byte, and what its decoders refuse. */
#include <glib.h>

#include "encoder/protocol.h"

static void test_frame_request(void)
{
    static const guint8 expected[HXFR_FRAME_REQUEST_SIZE] = {
        'H',  'X',  'F',  'R',  0x01, 0x03, 0x34, 0x12, 44 + 16, 0, 0, 0, /* header */
        0x04, 0x03, 0x02, 0x01,                                           /* resource_id */
        0x80, 0x07, 0,    0,    0x38, 0x04, 0,    0,                      /* width, height */
        'X',  'R',  '2',  '4',  0x00, 0x1e, 0,    0,                      /* format, stride */
        0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11,                   /* pts */
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,                   /* duration */
        1,    0,    0,    0,    0,    0,    0,    0,                      /* force_keyframe */
    };
    HxfrFrameRequest request = {
        .resource_id = 0x01020304,
        .width = 1920,
        .height = 1080,
        .format = HXFR_FORMAT_XR24,
        .stride = 7680,
        .pts = 0x1122334455667788,
        .duration = -1,
        .force_keyframe = true,
    };
    guint8 bytes[HXFR_FRAME_REQUEST_SIZE];
    hxfr_encode_frame_request(bytes, 0x1234, HXFR_FLAG_PIXELS | HXFR_FLAG_MAY_BE_EMPTY, &request,
                              16);
    g_assert_cmpmem(bytes, sizeof bytes, expected, sizeof expected);

    HxfrHeader header;
    HxfrFrameRequest back;
    g_assert_cmpint(hxfr_decode_header(bytes, 11, &header), ==, -EAGAIN);
    g_assert_cmpint(hxfr_decode_header(bytes, 12, &header), ==, 0);
    g_assert_cmpuint(header.session_id, ==, 0x1234);
    g_assert_cmpuint(header.payload_size, ==, 60);
    g_assert_cmpint(hxfr_decode_frame_request(bytes + 12, 43, &back), ==, -EINVAL);
    g_assert_cmpint(hxfr_decode_frame_request(bytes + 12, 44, &back), ==, 0);
    g_assert_cmpuint(back.resource_id, ==, request.resource_id);
    g_assert_cmpuint(back.stride, ==, request.stride);
    g_assert_cmpint(back.pts, ==, request.pts);
    g_assert_cmpint(back.duration, ==, -1);
    g_assert_true(back.force_keyframe);
    bytes[0] ^= 1;
    g_assert_cmpint(hxfr_decode_header(bytes, 12, &header), ==, -EBADMSG);
}

/* Whole sizes as other implementations have them. */
static void test_sizes(void)
{
    static const struct {
        guint8 type, flags;
        guint32 low, high;
    } sizes[] = {
        {0x01, 0, 56, 56},
        {0x01, 1, 56, 56 + (64 << 20)},
        {0x02, 0, 36, 12 + (64 << 20)},
        {0x03, 0, 12, 12},
        {0x04, 0, 40, 40},
        {0x10, 0, 12, 12},
        {0x11, 0, 12, 12},
        {0x20, 0, 28, 28},
        {0x21, 0, 16, 16},
        {0x22, 0, 84, 84},
        {0x30, 0, 16, 16},
        {0x31, 0, 20, 20},
        {0xff, 0, 272, 272},
        {0x77, 0, 12, 12 + 65536},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        guint8 bytes[HXFR_HEADER_SIZE];
        HxfrHeader header = {sizes[i].type, sizes[i].flags, 0, sizes[i].low - 12};
        hxfr_encode_header(bytes, &header);
        g_assert_cmpint(hxfr_decode_header(bytes, 12, &header), ==, 0);
        header.payload_size = sizes[i].high - 12;
        hxfr_encode_header(bytes, &header);
        g_assert_cmpint(hxfr_decode_header(bytes, 12, &header), ==, 0);
        header.payload_size = sizes[i].high - 12 + 1;
        hxfr_encode_header(bytes, &header);
        g_assert_cmpint(hxfr_decode_header(bytes, 12, &header), ==, -EMSGSIZE);
        header.payload_size = sizes[i].low - 12 - 1;
        hxfr_encode_header(bytes, &header);
        g_assert_cmpint(hxfr_decode_header(bytes, 12, &header), ==, -EMSGSIZE);
    }
}

static void test_frame_response(void)
{
    static const guint8 expected[HXFR_FRAME_RESPONSE_ONE_SIZE] = {
        'H', 'X', 'F', 'R', 0x02, 0, 7, 0, 24 + 4 + 3, 0, 0, 0,             /* header */
        5,   0,   0,   0,   0,    0, 0, 0, 6,          0, 0, 0, 0, 0, 0, 0, /* pts, dts */
        1,   0,   0,   0,   1,    0, 0, 0, 3,          0, 0, 0, /* is_keyframe, nal_count, size */
    };
    HxfrFrameResponse response = {.pts = 5, .dts = 6, .is_keyframe = true};
    guint8 bytes[HXFR_FRAME_RESPONSE_ONE_SIZE + 3] = {0};
    hxfr_encode_frame_response(bytes, 7, &response, 3);
    g_assert_cmpmem(bytes, sizeof expected, expected, sizeof expected);

    size_t size = sizeof bytes - 12, offset = 0, length;
    const guint8 *data;
    g_assert_cmpint(hxfr_decode_frame_response(bytes + 12, size, &response), ==, 0);
    g_assert_true(hxfr_next_nal(bytes + 12, size, &offset, &data, &length));
    g_assert_cmpuint(length, ==, 3);
    g_assert_true(data == bytes + 40);
    g_assert_false(hxfr_next_nal(bytes + 12, size, &offset, &data, &length));
    /* A size beyond the payload, one short of it, and counts that lie. */
    g_assert_cmpint(hxfr_decode_frame_response(bytes + 12, size - 1, &response), ==, -EINVAL);
    hxfr_put32(bytes + 36, 2);
    g_assert_cmpint(hxfr_decode_frame_response(bytes + 12, size, &response), ==, -EINVAL);
    hxfr_put32(bytes + 36, 0xffffffff);
    g_assert_cmpint(hxfr_decode_frame_response(bytes + 12, size, &response), ==, -EINVAL);
    hxfr_put32(bytes + 36, 3);
    hxfr_put32(bytes + 32, 0xffffffff);
    g_assert_cmpint(hxfr_decode_frame_response(bytes + 12, size, &response), ==, -EINVAL);

    hxfr_encode_frame_response(bytes, 7, &response, 0);
    g_assert_cmpuint(hxfr_get32(bytes + 8), ==, 24);
    g_assert_cmpint(hxfr_decode_frame_response(bytes + 12, 24, &response), ==, 0);
    g_assert_cmpuint(response.nal_count, ==, 0);
}

static void test_pixels_size(void)
{
    const guint32 xr = HXFR_FORMAT_XR24, nv = HXFR_FORMAT_NV12;
    g_assert_cmpuint(hxfr_pixels_size(xr, 10, 3, 48), ==, 48 * 2 + 40);
    g_assert_cmpuint(hxfr_pixels_size(xr, 10, 3, 39), ==, 0);
    g_assert_cmpuint(hxfr_pixels_size(nv, 5, 3, 8), ==, 8 * 5 + 6);
    g_assert_cmpuint(hxfr_pixels_size(nv, 5, 3, 5), ==, 0);
    g_assert_cmpuint(hxfr_pixels_size(xr, 0, 3, 48), ==, 0);
    g_assert_cmpuint(hxfr_pixels_size(xr, 10, 0, 48), ==, 0);
    g_assert_cmpuint(hxfr_pixels_size(xr, 4096, 4096, 16384), ==, 64 << 20);
    g_assert_cmpuint(hxfr_pixels_size(xr, 4096, 4097, 16384), ==, 0);
    g_assert_cmpuint(hxfr_pixels_size(xr, 8193, 1, 8193 * 4), ==, 0);
    g_assert_cmpuint(hxfr_pixels_size(xr, 1, 8192, 0xffffffff), ==, 0);
    g_assert_cmpuint(hxfr_pixels_size(0, 10, 3, 48), ==, 0);
}

static void test_error(void)
{
    guint8 bytes[HXFR_ERROR_SIZE];
    HxfrError error;
    g_autofree char *text = g_strnfill(400, 'x');
    hxfr_encode_error(bytes, 1, HXFR_E_NOT_FOUND, text);
    g_assert_cmpint(hxfr_decode_error(bytes + 12, 260, &error), ==, 0);
    g_assert_cmpint(error.code, ==, -2);
    g_assert_cmpuint(strlen(error.message), ==, 255);
    memset(bytes + 16, 'y', 256); /* not terminated */
    g_assert_cmpint(hxfr_decode_error(bytes + 12, 260, &error), ==, 0);
    g_assert_cmpuint(strlen(error.message), ==, 256);
    g_assert_cmpint(hxfr_decode_error(bytes + 12, 259, &error), ==, -EINVAL);
}

static void test_config(void)
{
    HxfrConfigReq config = {1280, 720, 4000000, 30000, 1001, 100, 41, 1}, back;
    guint8 bytes[HXFR_CONFIG_REQ_SIZE];
    hxfr_encode_config_req(bytes, 9, &config);
    g_assert_cmpuint(hxfr_get32(bytes + 20), ==, 4000000);
    g_assert_cmpint(hxfr_decode_config_req(bytes + 12, 28, &back), ==, 0);
    g_assert_cmpuint(back.fps_num, ==, 30000);
    g_assert_cmpuint(back.fps_den, ==, 1001);
    g_assert_cmpuint(back.level, ==, 41);
    g_assert_cmpint(hxfr_decode_config_req(bytes + 12, 27, &back), ==, -EINVAL);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/protocol/frame-request", test_frame_request);
    g_test_add_func("/protocol/sizes", test_sizes);
    g_test_add_func("/protocol/frame-response", test_frame_response);
    g_test_add_func("/protocol/pixels-size", test_pixels_size);
    g_test_add_func("/protocol/error", test_error);
    g_test_add_func("/protocol/config", test_config);
    return g_test_run();
}
