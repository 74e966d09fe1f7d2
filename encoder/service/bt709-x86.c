/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "encoder/service/bt709-x86.h"

#if defined(__x86_64__)

#include <immintrin.h>
#include <stddef.h>

#include "encoder/service/bt709-coefficients.h"

/* --- AVX2 ----------------------------------------------------------------------------------------
 */

#define AVX2 __attribute__((target("avx2")))

bool hx_bt709_has_avx2(void)
{
    return __builtin_cpu_supports("avx2");
}

typedef struct {
    __m256i blue_red, green; /* 16 bits each, 8 pixels: as many pairs */
} Channels;

AVX2 static inline Channels load_channels(const uint8_t *pixels)
{
    const __m256i mask = _mm256_set1_epi32(0x00ff00ff);
    __m256i p = _mm256_loadu_si256((const __m256i *)(const void *)pixels);
    return (Channels){_mm256_and_si256(p, mask), _mm256_and_si256(_mm256_srli_epi32(p, 8), mask)};
}

/* The pair of coefficients for words @low and @high. */
AVX2 static inline __m256i pair_of(int low, int high)
{
    return _mm256_set1_epi32((int)((uint32_t)high << 16 | ((uint32_t)low & 0xffff)));
}

AVX2 static inline __m256i weigh(Channels c, __m256i blue_red, __m256i green, __m256i base)
{
    return _mm256_add_epi32(_mm256_add_epi32(_mm256_madd_epi16(c.blue_red, blue_red), base),
                            _mm256_madd_epi16(c.green, green));
}

AVX2 static inline void store_bytes(uint8_t *to, __m256i words)
{
    __m128i bytes =
        _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
    _mm_storeu_si128((__m128i *)(void *)to, bytes);
}

/* 8 and 8 values of 32 bits as 16 of 16 bits. */
AVX2 static inline __m256i join(__m256i a, __m256i b)
{
    return _mm256_permute4x64_epi64(_mm256_packus_epi32(a, b), 0xd8);
}

/* The sums of pixels 0 and 1, 2 and 3, … of what is in @a and @b, in order. */
AVX2 static inline __m256i add_neighbours(__m256i a, __m256i b)
{
    __m256 even = _mm256_shuffle_ps(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b), 0x88);
    __m256 odd = _mm256_shuffle_ps(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b), 0xdd);
    return _mm256_permute4x64_epi64(
        _mm256_add_epi16(_mm256_castps_si256(even), _mm256_castps_si256(odd)), 0xd8);
}

AVX2 static inline Channels add_lines(Channels a, Channels b)
{
    return (Channels){_mm256_add_epi16(a.blue_red, b.blue_red), _mm256_add_epi16(a.green, b.green)};
}

AVX2 uint32_t hx_bt709_convert_avx2(uint8_t *y_top, uint8_t *y_bottom, uint8_t *uv,
                                    const uint8_t *top, const uint8_t *bottom, uint32_t width,
                                    bool red_first)
{
    const __m256i y_br = red_first ? pair_of(Y_R, Y_B) : pair_of(Y_B, Y_R), y_g = pair_of(Y_G, 0);
    const __m256i cb_br = red_first ? pair_of(CB_R, CB_B) : pair_of(CB_B, CB_R);
    const __m256i cr_br = red_first ? pair_of(CR_R, CR_B) : pair_of(CR_B, CR_R);
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

/* --- AVX-512 -------------------------------------------------------------------------------------
 * VNNI multiplies pairs of 16 bits and adds them in one instruction; with all weights in 1/2^16 the
 * value is a byte of its word, and VBMI gathers those bytes, of two registers, in one more. */

#define AVX512                                                                                     \
    __attribute__((                                                                                \
        target("avx512f,avx512bw,avx512vl,avx512vbmi,avx512vnni"))) /* of Ice Lake, Zen 4 */

bool hx_bt709_has_avx512(void)
{
    return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vnni");
}

typedef struct {
    __m512i blue_red, green; /* 16 bits each, 16 pixels: as many pairs, of green both the same */
} WideChannels;

typedef struct {
    __m512i blue_red, green;
} WideWeights;

AVX512 static inline WideChannels load_wide(const uint8_t *pixels)
{
    const __m512i second = _mm512_set4_epi32((int)0x800d800d, (int)0x80098009, (int)0x80058005,
                                             (int)0x80018001); /* byte 1 of four, 0, 1, 0 */
    __m512i p = _mm512_loadu_si512(pixels);
    return (WideChannels){_mm512_and_si512(p, _mm512_set1_epi32(0x00ff00ff)),
                          _mm512_shuffle_epi8(p, second)};
}

AVX512 static inline __m512i wide_pair_of(int low, int high)
{
    return _mm512_set1_epi32((int)((uint32_t)high << 16 | ((uint32_t)low & 0xffff)));
}

AVX512 static inline WideWeights wide_weights(int r, int g, int b, bool red_first)
{
    return (WideWeights){red_first ? wide_pair_of(r, b) : wide_pair_of(b, r),
                         wide_pair_of(g / 2, g - g / 2)};
}

AVX512 static inline __m512i weigh_wide(WideChannels c, WideWeights weights, int offset)
{
    __m512i base = _mm512_set1_epi32((offset << 16) + ROUND(16));
    return _mm512_dpwssd_epi32(_mm512_dpwssd_epi32(base, c.blue_red, weights.blue_red), c.green,
                               weights.green);
}

AVX512 static inline WideChannels add_wide(WideChannels a, WideChannels b)
{
    return (WideChannels){_mm512_add_epi16(a.blue_red, b.blue_red),
                          _mm512_add_epi16(a.green, b.green)};
}

/* The sums of pixels 0 and 1, 2 and 3, … of what is in @a and @b, in order. */
AVX512 static inline __m512i add_wide_neighbours(__m512i a, __m512i b)
{
    const __m512i even =
        _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
    const __m512i odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
    return _mm512_add_epi16(_mm512_permutex2var_epi32(a, even, b),
                            _mm512_permutex2var_epi32(a, odd, b));
}

/* Byte 2 of each word of @a and @b: of a 0, a 1, …, b 0, b 1, …, or of a 0, b 0, a 1, b 1, … */
AVX512 static inline void store_wide(uint8_t *to, __m512i a, __m512i b, bool alternately)
{
    static const uint8_t places[2][32] = {
        {2,  6,  10, 14, 18, 22, 26, 30, 34, 38,  42,  46,  50,  54,  58,  62,
         66, 70, 74, 78, 82, 86, 90, 94, 98, 102, 106, 110, 114, 118, 122, 126},
        {2,  66, 6,  70,  10, 74,  14, 78,  18, 82,  22, 86,  26, 90,  30, 94,
         34, 98, 38, 102, 42, 106, 46, 110, 50, 114, 54, 118, 58, 122, 62, 126},
    };
    __m512i from = _mm512_castsi256_si512(
        _mm256_loadu_si256((const __m256i *)(const void *)places[alternately]));
    _mm256_storeu_si256((__m256i *)(void *)to,
                        _mm512_castsi512_si256(_mm512_permutex2var_epi8(a, from, b)));
}

AVX512 uint32_t hx_bt709_convert_avx512(uint8_t *y_top, uint8_t *y_bottom, uint8_t *uv,
                                        const uint8_t *top, const uint8_t *bottom, uint32_t width,
                                        bool red_first)
{
    /* Cb and Cr are of four pixels' sums. */
    const WideWeights y = wide_weights(4 * Y_R, 4 * Y_G, 4 * Y_B, red_first);
    const WideWeights cb = wide_weights(CB_R, CB_G, CB_B, red_first);
    const WideWeights cr = wide_weights(CR_R, CR_G, CR_B, red_first);
    uint32_t x = 0;
    for (; x + 32 <= width; x += 32) {
        const size_t at = (size_t)x * 4;
        WideChannels t[2] = {load_wide(top + at), load_wide(top + at + 64)};
        WideChannels m[2] = {load_wide(bottom + at), load_wide(bottom + at + 64)};
        store_wide(y_top + x, weigh_wide(t[0], y, 16), weigh_wide(t[1], y, 16), false);
        store_wide(y_bottom + x, weigh_wide(m[0], y, 16), weigh_wide(m[1], y, 16), false);
        WideChannels left = add_wide(t[0], m[0]), right = add_wide(t[1], m[1]);
        WideChannels sums = {add_wide_neighbours(left.blue_red, right.blue_red),
                             add_wide_neighbours(left.green, right.green)};
        store_wide(uv + x, weigh_wide(sums, cb, 128), weigh_wide(sums, cr, 128), true);
    }
    return x;
}

#endif
