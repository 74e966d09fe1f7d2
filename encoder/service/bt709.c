/* SPDX-License-Identifier: GPL-2.0-or-later */
/* libyuv's conversions of RGB are BT.601 or JPEG only (version 1904), and of less precision. */
#include "encoder/service/bt709.h"

#include <stddef.h>

#include "encoder/service/bt709-coefficients.h"
#include "encoder/service/bt709-x86.h"

/* Pixels of a guest's choice of stride lie at any address. */
typedef uint32_t __attribute__((aligned(1), may_alias)) Pixel;
typedef uint64_t __attribute__((aligned(1), may_alias)) PixelPair;

/* @r and @b: where red and blue are in the little-endian word of a pixel, in bits. */
__attribute__((optimize("O3"))) static void
convert_y(uint8_t *restrict y, const Pixel *restrict pixels, uint32_t width, int r, int b)
{
    for (uint32_t x = 0; x < width; x++) {
        uint32_t p = pixels[x];
        y[x] = (Y_R * (p >> r & 0xff) + Y_G * (p >> 8 & 0xff) + Y_B * (p >> b & 0xff) +
                (16 << SHIFT) + ROUND(SHIFT)) >>
               SHIFT;
    }
}

/* @pairs blocks of 2 × 2 pixels. */
__attribute__((optimize("O3"))) static void convert_uv(uint8_t *restrict uv,
                                                       const PixelPair *restrict top,
                                                       const PixelPair *restrict bottom,
                                                       uint32_t pairs, int r, int b)
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
        uv[2 * x] = (uint8_t)cb;
        uv[2 * x + 1] = (uint8_t)cr;
    }
}

static uint32_t convert_plain(uint8_t *y_top, uint8_t *y_bottom, uint8_t *uv, const uint8_t *top,
                              const uint8_t *bottom, uint32_t width, bool red_first)
{
    const int r = red_first ? 0 : 16, b = red_first ? 16 : 0;
    convert_y(y_top, (const Pixel *)top, width, r, b);
    convert_y(y_bottom, (const Pixel *)bottom, width, r, b);
    convert_uv(uv, (const PixelPair *)top, (const PixelPair *)bottom, width / 2, r, b);
    return width;
}

static bool always(void)
{
    return true;
}

const HxBt709Way hx_bt709_ways[] = {
#if defined(__x86_64__)
    {"AVX-512", hx_bt709_has_avx512, hx_bt709_convert_avx512},
    {"AVX2", hx_bt709_has_avx2, hx_bt709_convert_avx2},
#endif
    {"plain", always, convert_plain},
    {0},
};

void hx_bt709_convert(uint8_t *y_top, uint8_t *y_bottom, uint8_t *uv, const uint8_t *top,
                      const uint8_t *bottom, uint32_t width, bool red_first)
{
    uint32_t done = 0;
    for (const HxBt709Way *way = hx_bt709_ways; done < width; way++) {
        if (way->is_supported())
            done += way->convert(y_top + done, y_bottom + done, uv + done, top + (size_t)done * 4,
                                 bottom + (size_t)done * 4, width - done, red_first);
    }
}
