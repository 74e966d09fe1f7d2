/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/vsock/held-data.h"

#include <glib.h>
#include <string.h>

#include "launcher/vsock/connection.h"

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
            from += part;
            left -= part;
        }
    }
}

unsigned hx_held_peek(const HxHeldData *held, struct iovec ret[2])
{
    uint32_t first = MIN(held->length, HX_CONNECTION_BUFFER - held->start);
    ret[0] = (struct iovec){held->data + held->start, first};
    ret[1] = (struct iovec){held->data, held->length - first};
    return (held->length > 0) + (held->length > first);
}

void hx_held_drop(HxHeldData *held, uint32_t size)
{
    held->start = (held->start + size) % HX_CONNECTION_BUFFER;
    held->length -= size;
    if (held->length == 0) {
        g_clear_pointer(&held->data, g_free);
        held->start = 0;
    }
}
