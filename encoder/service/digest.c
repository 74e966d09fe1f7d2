/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Theory of operation.  NH, the hash of UMAC (RFC 4418, section 5.2.1): the sum of (m[i] + k[i]) ×
 * (m[j] + k[j]) over pairs of 32-bit words, added modulo 2^32 and summed modulo 2^64, with words of
 * a secret key.  It is as fast as memory.  Two such sums are kept, of even and of odd pairs: a
 * change of much of a line must collide twice. */
#include "encoder/service/digest.h"

#include <pthread.h>
#include <string.h>
#include <sys/auxv.h>

/* Turned into vector code for each of these targets; which one runs is chosen at the start. */
#if defined(__x86_64__) && defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) &&                 \
    !defined(__SANITIZE_THREAD__)
#define VECTOR_CODE __attribute__((optimize("O3"), target_clones("avx2", "default")))
#else
#define VECTOR_CODE __attribute__((optimize("O3")))
#endif

#define BLOCK_WORDS 16
#define HALF (BLOCK_WORDS / 2)
#define BLOCK_SIZE (BLOCK_WORDS * sizeof(uint32_t))

typedef uint32_t __attribute__((aligned(1), may_alias)) Word;

static struct {
    uint32_t words[HX_DIGEST_LINE_MAX / sizeof(uint32_t)];
    uint64_t join[2]; /* odd */
    pthread_once_t once;
} key = {.once = PTHREAD_ONCE_INIT};

/* SplitMix64, begun with what the kernel gave the process (getauxval(3), AT_RANDOM). */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

static void draw_key(void)
{
    uint64_t seed;
    memcpy(&seed, (const void *)getauxval(AT_RANDOM), sizeof seed);
    for (size_t i = 0; i < sizeof key.words / sizeof key.words[0]; i++)
        key.words[i] = (uint32_t)next_random(&seed);
    for (size_t i = 0; i < 2; i++)
        key.join[i] = next_random(&seed) | 1;
}

/* @words: a multiple of BLOCK_WORDS. */
VECTOR_CODE static void sum_words(const Word *restrict line, const uint32_t *restrict k,
                                  size_t words, uint64_t ret_sums[restrict 4])
{
    uint64_t sums[HALF] = {0};
    for (size_t i = 0; i < words; i += BLOCK_WORDS) {
        for (size_t j = 0; j < HALF; j++)
            sums[j] += (uint64_t)(uint32_t)(line[i + j] + k[i + j]) *
                       (uint32_t)(line[i + j + HALF] + k[i + j + HALF]);
    }
    for (size_t j = 0; j < 4; j++)
        ret_sums[j] = sums[j] + sums[j + 4];
}

HxDigest hx_digest_line(const uint8_t *line, size_t size)
{
    pthread_once(&key.once, draw_key);
    size_t whole = size / BLOCK_SIZE * BLOCK_SIZE;
    uint64_t sums[4], last[4] = {0};
    sum_words((const Word *)line, key.words, whole / sizeof(uint32_t), sums);
    if (whole < size) {
        uint32_t rest[BLOCK_WORDS] = {0};
        memcpy(rest, line + whole, size - whole);
        sum_words(rest, key.words + whole / sizeof(uint32_t), BLOCK_WORDS, last);
    }
    return (HxDigest){
        {sums[0] + sums[2] + last[0] + last[2], sums[1] + sums[3] + last[1] + last[3]}};
}

HxDigest hx_digest_join(HxDigest first, HxDigest second)
{
    for (size_t i = 0; i < 2; i++)
        first.sums[i] = first.sums[i] * key.join[i] + second.sums[i];
    return first;
}
