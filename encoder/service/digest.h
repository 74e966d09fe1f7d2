/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Digests of lines of pixels: whether a line is what it was, at the price of reading it once. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Equal lines have equal digests.  Lines that differ have the same one with a probability of about
 * 1 in 2^32 at most: a key that is drawn anew in every process decides which, so that no guest can
 * choose them. */
typedef struct HxDigest {
    uint64_t sums[2];
} HxDigest;

/* The longest line: HXFR_DIMENSION_MAX pixels of 4 bytes. */
#define HX_DIGEST_LINE_MAX (8192 * 4)

/* The digest of @size bytes at @line, any address, at most HX_DIGEST_LINE_MAX; digests of lines of
 * different sizes are not to be compared.  Any thread. */
HxDigest hx_digest_line(const uint8_t *line, size_t size);

/* The digest of what has @first and then @second. */
HxDigest hx_digest_join(HxDigest first, HxDigest second);
