/* SPDX-License-Identifier: GPL-2.0-or-later */
/* libyuv's conversions of RGB are BT.601 or JPEG only (version 1904), and of less precision. */
#include "encoder/service/bt709.h"

#include <stddef.h>
#if defined(__x86_64__)
#include <immintrin.h>
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

#if defined(__x86_64__)

typedef struct {
    __m256i blue_red, green; /* 16 bits each, 8 pixels: as many pairs */
} Channels;

__attribute__((target("avx2"))) static inline Channels load_channels(const uint8_t *pixels)
{
    const __m256i mask = _mm256_set1_epi32(0x00ff00ff);
    __m256i p = _mm256_loadu_si256((const __m256i *)(const void *)pixels);
    return (Channels){_mm256_and_si256(p, mask), _mm256_and_si256(_mm256_srli_epi32(p, 8), mask)};
}

/* The pair of coefficients for words @low and @high. */
__attribute__((target("avx2"))) static inline __m256i pair_of(int low, int high)
{
    return _mm256_set1_epi32((int)((uint32_t)high << 16 | ((uint32_t)low & 0xffff)));
}

__attribute__((target("avx2"))) static inline __m256i weigh(Channels c, __m256i blue_red,
                                                            __m256i green, __m256i base)
{
    return _mm256_add_epi32(_mm256_add_epi32(_mm256_madd_epi16(c.blue_red, blue_red), base),
                            _mm256_madd_epi16(c.green, green));
}

__attribute__((target("avx2"))) static inline void store_bytes(uint8_t *to, __m256i words)
{
    __m128i bytes =
        _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
    _mm_storeu_si128((__m128i *)(void *)to, bytes);
}

/* 8 and 8 values of 32 bits as 16 of 16 bits. */
__attribute__((target("avx2"))) static inline __m256i join(__m256i a, __m256i b)
{
    return _mm256_permute4x64_epi64(_mm256_packus_epi32(a, b), 0xd8);
}

/* The sums of pixels 0 and 1, 2 and 3, … of what is in @a and @b, in order. */
__attribute__((target("avx2"))) static inline __m256i add_neighbours(__m256i a, __m256i b)
{
    __m256 even = _mm256_shuffle_ps(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b), 0x88);
    __m256 odd = _mm256_shuffle_ps(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b), 0xdd);
    return _mm256_permute4x64_epi64(
        _mm256_add_epi16(_mm256_castps_si256(even), _mm256_castps_si256(odd)), 0xd8);
}

__attribute__((target("avx2"))) static inline Channels add_lines(Channels a, Channels b)
{
    return (Channels){_mm256_add_epi16(a.blue_red, b.blue_red), _mm256_add_epi16(a.green, b.green)};
}

/* Multiples of 16 pixels; returns how many. */
__attribute__((target("avx2"))) static uint32_t
convert_avx2(uint8_t *restrict y_top, uint8_t *restrict y_bottom, uint8_t *restrict uv,
             const uint8_t *restrict top, const uint8_t *restrict bottom, uint32_t width, bool swap)
{
    const __m256i y_br = swap ? pair_of(Y_R, Y_B) : pair_of(Y_B, Y_R), y_g = pair_of(Y_G, 0);
    const __m256i cb_br = swap ? pair_of(CB_R, CB_B) : pair_of(CB_B, CB_R);
    const __m256i cr_br = swap ? pair_of(CR_R, CR_B) : pair_of(CR_B, CR_R);
    const __m256i cb_g = pair_of(CB_G, 0), cr_g = pair_of(CR_G, 0);
    const __m256i y_base = _mm256_set1_epi32((16 << SHIFT) + ROUND(SHIFT));
    const __m256i c_base = _mm256_set1_epi32((128 << (SHIFT + 2)) + ROUND(SHIFT + 2));
    uint32_t x = 0;
    for (; x + 16 <= width; x += 16) {
        Channels t[2], m[2];
        __m256i y[4];
        for (size_t i = 0; i < 2; i++) {
            t[i] = load_channels(top + (size_t)x * 4 + 32 * i);
            m[i] = load_channels(bottom + (size_t)x * 4 + 32 * i);
            y[i] = _mm256_srli_epi32(weigh(t[i], y_br, y_g, y_base), SHIFT);
            y[2 + i] = _mm256_srli_epi32(weigh(m[i], y_br, y_g, y_base), SHIFT);
        }
        store_bytes(y_top + x, join(y[0], y[1]));
        store_bytes(y_bottom + x, join(y[2], y[3]));
        Channels left = add_lines(t[0], m[0]), right = add_lines(t[1], m[1]);
        Channels sums = {add_neighbours(left.blue_red, right.blue_red),
                         add_neighbours(left.green, right.green)};
        __m256i cb = _mm256_srli_epi32(weigh(sums, cb_br, cb_g, c_base), SHIFT + 2);
        __m256i cr = _mm256_srli_epi32(weigh(sums, cr_br, cr_g, c_base), SHIFT + 2);
        /* Both instructions stay within halves, and so undo each other's order. */
        store_bytes(uv + x, _mm256_packus_epi32(_mm256_unpacklo_epi32(cb, cr),
                                                _mm256_unpackhi_epi32(cb, cr)));
    }
    return x;
}

#endif

void hx_bt709_convert(uint8_t *y_top, uint8_t *y_bottom, uint8_t *uv, const uint8_t *top,
                      const uint8_t *bottom, uint32_t width, bool red_first)
{
    uint32_t done = 0;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2"))
        done = convert_avx2(y_top, y_bottom, uv, top, bottom, width, red_first);
#endif
    const int r = red_first ? 0 : 16, b = red_first ? 16 : 0;
    top += (size_t)done * 4;
    bottom += (size_t)done * 4;
    convert_y(y_top + done, (const Pixel *)top, width - done, r, b);
    convert_y(y_bottom + done, (const Pixel *)bottom, width - done, r, b);
    convert_uv(uv + done, (const PixelPair *)top, (const PixelPair *)bottom, (width - done) / 2, r,
               b);
}
