/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Input bytes of a fuzz target, taken from the front; zeros behind the end. */
#pragma once

#include <stddef.h>
#include <stdint.h>

typedef struct {
    const uint8_t *data;
    size_t size;
} FuzzInput;

uint8_t fuzz_u8(FuzzInput *input);
uint16_t fuzz_u16(FuzzInput *input);
uint32_t fuzz_u32(FuzzInput *input);
/* Up to @size bytes; *@size becomes how many there are. */
const uint8_t *fuzz_bytes(FuzzInput *input, size_t *size);
