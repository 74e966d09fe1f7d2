/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "encoder/service/picture.h"

#include <errno.h>
#include <libyuv/planar_functions.h>
#include <stdlib.h>
#include <string.h>

#include "encoder/protocol.h"

/* libyuv's RGB to YUV conversions are BT.601 or JPEG only (version 1904); ours are plain loops that
 * the compiler turns into vector code, for each of these targets. */
#if defined(__x86_64__) && defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) &&                 \
    !defined(__SANITIZE_THREAD__)
#define VECTOR_CODE __attribute__((optimize("O3"), target_clones("avx2", "default")))
#else
#define VECTOR_CODE __attribute__((optimize("O3")))
#endif

/* Kr = 0.2126, Kb = 0.0722, Kg the rest: Y' spans 219 steps, Cb and Cr 224.  In 1/2^14; each chroma
 * row sums to zero so that grey stays grey. */
enum {
    SHIFT = 14,
    Y_R = 2992,
    Y_G = 10063,
    Y_B = 1016,
    CB_R = -1649,
    CB_G = -5547,
    CB_B = 7196,
    CR_R = 7196,
    CR_G = -6536,
    CR_B = -660,
};

/* Pixels of a guest's choice of stride lie at any address. */
typedef uint32_t __attribute__((aligned(1), may_alias)) Pixel;
typedef uint64_t __attribute__((aligned(1), may_alias)) PixelPair;

#define ROUND(bits) (1 << ((bits) - 1))

/* @r and @b: where red and blue are in the little-endian word of a pixel, in bits. */
VECTOR_CODE static void convert_y(uint8_t *restrict y, const Pixel *restrict pixels, uint32_t width,
                                  int r, int b)
{
    for (uint32_t x = 0; x < width; x++) {
        uint32_t p = pixels[x];
        y[x] = (Y_R * (p >> r & 0xff) + Y_G * (p >> 8 & 0xff) + Y_B * (p >> b & 0xff) +
                (16 << SHIFT) + ROUND(SHIFT)) >>
               SHIFT;
    }
}

/* @pairs blocks of 2 × 2 pixels. */
VECTOR_CODE static void convert_uv(uint16_t *restrict uv, const PixelPair *restrict top,
                                   const PixelPair *restrict bottom, uint32_t pairs, int r, int b)
{
    const uint64_t channel = 0x000000ff000000ff;
    for (uint32_t x = 0; x < pairs; x++) {
        uint64_t t = top[x], m = bottom[x];
        uint64_t sum_r = (t >> r & channel) + (m >> r & channel);
        uint64_t sum_g = (t >> 8 & channel) + (m >> 8 & channel);
        uint64_t sum_b = (t >> b & channel) + (m >> b & channel);
        int32_t red = (int32_t)((sum_r + (sum_r >> 32)) & 0xffff);
        int32_t green = (int32_t)((sum_g + (sum_g >> 32)) & 0xffff);
        int32_t blue = (int32_t)((sum_b + (sum_b >> 32)) & 0xffff);
        int32_t base = (128 << (SHIFT + 2)) + ROUND(SHIFT + 2);
        int32_t cb = (CB_R * red + CB_G * green + CB_B * blue + base) >> (SHIFT + 2);
        int32_t cr = (CR_R * red + CR_G * green + CR_B * blue + base) >> (SHIFT + 2);
        uv[x] = (uint16_t)(cb | cr << 8);
    }
}

static int reshape(HxPicture *picture, uint32_t width, uint32_t height)
{
    uint32_t stride = (width + 63) & ~63u;
    size_t size = (size_t)stride * height * 3 / 2;
    if (size > picture->capacity) {
        void *planes = NULL;
        if (posix_memalign(&planes, 64, size) != 0)
            return -ENOMEM;
        hx_picture_clear(picture);
        picture->y = planes;
        picture->capacity = size;
    }
    picture->width = width;
    picture->height = height;
    picture->stride = stride;
    picture->uv = picture->y + (size_t)stride * height;
    return 0;
}

static void convert_rgb(HxPicture *picture, const uint8_t *pixels, uint32_t width, uint32_t height,
                        uint32_t stride, int r, int b)
{
    for (uint32_t line = 0; line < height; line++)
        convert_y(picture->y + (size_t)line * picture->stride,
                  (const Pixel *)(pixels + (size_t)line * stride), width, r, b);
    for (uint32_t line = 0; line < height; line += 2) {
        const uint8_t *top = pixels + (size_t)line * stride;
        const uint8_t *bottom = line + 1 < height ? top + stride : top;
        uint16_t *uv = (uint16_t *)(picture->uv + (size_t)(line / 2) * picture->stride);
        convert_uv(uv, (const PixelPair *)top, (const PixelPair *)bottom, width / 2, r, b);
        if (width % 2) {
            /* The column beside it is a copy. */
            const uint64_t twice = 0x0000000100000001;
            PixelPair last_top = twice * ((const Pixel *)top)[width - 1];
            PixelPair last_bottom = twice * ((const Pixel *)bottom)[width - 1];
            convert_uv(uv + width / 2, &last_top, &last_bottom, 1, r, b);
        }
    }
}

int hx_picture_convert(HxPicture *picture, uint32_t format, const uint8_t *pixels, uint32_t width,
                       uint32_t height, uint32_t stride)
{
    uint32_t even_width = (width + 1) & ~1u;
    uint32_t even_height = (height + 1) & ~1u;
    int r = reshape(picture, even_width, even_height);
    if (r < 0)
        return r;
    switch (format) {
    case HXFR_FORMAT_AR24:
    case HXFR_FORMAT_XR24:
        convert_rgb(picture, pixels, width, height, stride, 16, 0);
        break;
    case HXFR_FORMAT_AB24:
    case HXFR_FORMAT_XB24:
        convert_rgb(picture, pixels, width, height, stride, 0, 16);
        break;
    case HXFR_FORMAT_NV12:
        CopyPlane(pixels, (int)stride, picture->y, (int)picture->stride, (int)width, (int)height);
        CopyPlane(pixels + (size_t)stride * even_height, (int)stride, picture->uv,
                  (int)picture->stride, (int)even_width, (int)even_height / 2);
        break;
    default:
        return -EINVAL;
    }
    for (uint32_t line = 0; width % 2 && line < height; line++) {
        uint8_t *end = picture->y + (size_t)line * picture->stride + width;
        end[0] = end[-1];
    }
    if (height % 2) {
        uint8_t *last = picture->y + (size_t)(height - 1) * picture->stride;
        memcpy(last + picture->stride, last, even_width);
    }
    return 0;
}

bool hx_picture_equal(const HxPicture *a, const HxPicture *b)
{
    if (a->width != b->width || a->height != b->height)
        return false;
    for (uint32_t line = 0; line < a->height; line++) {
        if (memcmp(a->y + (size_t)line * a->stride, b->y + (size_t)line * b->stride, a->width))
            return false;
    }
    for (uint32_t line = 0; line < a->height / 2; line++) {
        if (memcmp(a->uv + (size_t)line * a->stride, b->uv + (size_t)line * b->stride, a->width))
            return false;
    }
    return true;
}

void hx_picture_clear(HxPicture *picture)
{
    free(picture->y);
    *picture = (HxPicture){0};
}
