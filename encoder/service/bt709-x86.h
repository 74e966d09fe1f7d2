/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Ways of bt709.h's for x86-64's vector instructions. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* As HxBt709Way has them.  AVX-512 with VNNI and VBMI: 32 pixels at a time. */
bool hx_bt709_has_avx512(void);
uint32_t hx_bt709_convert_avx512(uint8_t *y_top, uint8_t *y_bottom, uint8_t *uv, const uint8_t *top,
                                 const uint8_t *bottom, uint32_t width, bool red_first);

/* AVX2: 16 pixels at a time. */
bool hx_bt709_has_avx2(void);
uint32_t hx_bt709_convert_avx2(uint8_t *y_top, uint8_t *y_bottom, uint8_t *uv, const uint8_t *top,
                               const uint8_t *bottom, uint32_t width, bool red_first);
