/* SPDX-License-Identifier: GPL-2.0-or-later */
/* RGB to Y'CbCr by ITU-R BT.709, limited range, 8 bits. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Convert two lines of @width pixels, 4 bytes each with the blue one first (or the red one, where
 * @red_first) and the fourth ignored, at any address, into @width bytes of Y' for each line and
 * @width / 2 pairs of Cb and Cr at @uv, of the mean of 2 × 2 pixels.  Each value is the nearest
 * one. Of an odd width the last column has no Cb and Cr.  Any thread. */
void hx_bt709_convert(uint8_t *y_top, uint8_t *y_bottom, uint8_t *uv, const uint8_t *top,
                      const uint8_t *bottom, uint32_t width, bool red_first);

/* One of the ways to do it, all with the same result. */
typedef struct {
    const char *name;
    /* Whether this machine can. */
    bool (*is_supported)(void);
    /* As hx_bt709_convert(), of the first pixels, in a number that suits it: that is returned, and
     * is even but where it is all of an odd @width. */
    uint32_t (*convert)(uint8_t *y_top, uint8_t *y_bottom, uint8_t *uv, const uint8_t *top,
                        const uint8_t *bottom, uint32_t width, bool red_first);
} HxBt709Way;

/* The fastest first; the one before the end, which is {0}, converts any width on any machine. */
extern const HxBt709Way hx_bt709_ways[];
