/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/fuzz/input.h"

uint8_t fuzz_u8(FuzzInput *input)
{
    if (input->size == 0)
        return 0;
    input->size--;
    return *input->data++;
}

uint16_t fuzz_u16(FuzzInput *input)
{
    uint16_t low = fuzz_u8(input);
    return low | fuzz_u8(input) << 8;
}

uint32_t fuzz_u32(FuzzInput *input)
{
    uint32_t low = fuzz_u16(input);
    return low | (uint32_t)fuzz_u16(input) << 16;
}

const uint8_t *fuzz_bytes(FuzzInput *input, size_t *size)
{
    const uint8_t *bytes = input->data;
    *size = *size < input->size ? *size : input->size;
    input->data += *size;
    input->size -= *size;
    return bytes;
}
