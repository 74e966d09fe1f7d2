/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/vsock/held-data.h"

#include <glib.h>
#include <string.h>

#include "launcher/vsock/connection.h"

#define BITS 64
#define WORDS (HX_CONNECTION_BUFFER / BITS)

void hx_held_append(HxHeldData *held, const struct iovec *iov, size_t count)
{
    if (!held->data)
        held->data = g_malloc(HX_CONNECTION_BUFFER);
    for (size_t i = 0; i < count; i++) {
        const uint8_t *from = iov[i].iov_base;
        size_t left = iov[i].iov_len;
        g_assert(left <= HX_CONNECTION_BUFFER - held->length);
        while (left > 0) {
            uint32_t end = (held->start + held->length) % HX_CONNECTION_BUFFER;
            size_t part = MIN(left, HX_CONNECTION_BUFFER - end);
            memcpy(held->data + end, from, part);
            held->length += part;
            held->unfinished += part;
            from += part;
            left -= part;
        }
    }
    if (!held->messages)
        held->unfinished = 0;
}

void hx_held_end_message(HxHeldData *held)
{
    g_assert(held->unfinished > 0);
    if (!held->ends)
        held->ends = g_new0(uint64_t, WORDS);
    uint32_t last = (held->start + held->length - 1) % HX_CONNECTION_BUFFER;
    held->ends[last / BITS] |= 1ull << last % BITS;
    held->unfinished = 0;
}

/* The bytes up to the first end of a message, which there must be. */
static uint32_t first_message(const HxHeldData *held)
{
    unsigned word = held->start / BITS;
    uint64_t ends = held->ends[word] >> held->start % BITS;
    if (ends)
        return __builtin_ctzll(ends) + 1;
    uint32_t skipped = BITS - held->start % BITS;
    do {
        word = (word + 1) % WORDS;
        ends = held->ends[word];
        skipped += ends ? __builtin_ctzll(ends) + 1 : BITS;
    } while (!ends);
    return skipped;
}

unsigned hx_held_peek(const HxHeldData *held, struct iovec ret[2])
{
    uint32_t size = held->length - held->unfinished;
    if (size == 0)
        return 0;
    if (held->messages)
        size = first_message(held);
    uint32_t first = MIN(size, HX_CONNECTION_BUFFER - held->start);
    ret[0] = (struct iovec){held->data + held->start, first};
    ret[1] = (struct iovec){held->data, size - first};
    return 1 + (size > first);
}

void hx_held_drop(HxHeldData *held, uint32_t size)
{
    uint32_t last = (held->start + size - 1) % HX_CONNECTION_BUFFER;
    if (size > 0 && held->ends)
        held->ends[last / BITS] &= ~(1ull << last % BITS);
    held->start = (held->start + size) % HX_CONNECTION_BUFFER;
    held->length -= size;
    if (held->length == 0)
        hx_held_clear(held);
}

uint32_t hx_held_drop_unfinished(HxHeldData *held)
{
    uint32_t size = held->unfinished;
    held->length -= size;
    held->unfinished = 0;
    if (held->length == 0)
        hx_held_clear(held);
    return size;
}

void hx_held_clear(HxHeldData *held)
{
    g_clear_pointer(&held->data, g_free);
    g_clear_pointer(&held->ends, g_free);
    held->start = held->length = held->unfinished = 0;
}
