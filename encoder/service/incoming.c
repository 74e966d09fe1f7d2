/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "encoder/service/incoming.h"

#include <errno.h>
#include <glib.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define PAYLOAD_STEP (256u * 1024)

/* As hx_read_all(), but -ETIMEDOUT where bytes are owed and none came in time;
 * @idle_allowed: the first byte may take as long as it likes. */
static int read_exactly(HxIncoming *incoming, void *buffer, size_t size, gboolean idle_allowed)
{
    size_t done = 0;
    while (done < size) {
        ssize_t n = recv(incoming->fd, (uint8_t *)buffer + done, size - done, 0);
        if (n > 0) {
            done += (size_t)n;
        } else if (n == 0) {
            return done || !idle_allowed ? -EPIPE : -ENODATA;
        } else if (errno == EAGAIN && !(idle_allowed && done == 0)) {
            return -ETIMEDOUT;
        } else if (errno != EAGAIN && errno != EINTR) {
            return -errno;
        }
    }
    return 0;
}

int hx_incoming_payload(HxIncoming *incoming, size_t size)
{
    for (size_t done = 0; done < size;) {
        if (incoming->payload_capacity == done) {
            size_t capacity = MIN(size, MAX(2 * done, PAYLOAD_STEP));
            uint8_t *larger = realloc(incoming->payload, capacity);
            if (!larger)
                return -ENOMEM;
            incoming->payload = larger;
            incoming->payload_capacity = capacity;
        }
        size_t part = MIN(size, incoming->payload_capacity) - done;
        int r = read_exactly(incoming, incoming->payload + done, part, FALSE);
        if (r < 0)
            return r;
        done += part;
    }
    return 0;
}

int hx_incoming_header(HxIncoming *incoming, uint8_t bytes[HXFR_HEADER_SIZE],
                       HxfrHeader *ret_header)
{
    int r = read_exactly(incoming, bytes, HXFR_HEADER_SIZE, TRUE);
    return r < 0 ? r : hxfr_decode_header(bytes, HXFR_HEADER_SIZE, ret_header);
}

/* Drop the first byte of @bytes, and those behind it with which no header begins; returns how many
 * of the @count are left. */
static size_t drop_to_magic(uint8_t *bytes, size_t count)
{
    uint8_t magic[4];
    hxfr_put32(magic, HXFR_MAGIC);
    size_t start = 1;
    while (start < count && memcmp(bytes + start, magic, MIN(count - start, sizeof magic)) != 0)
        start++;
    memmove(bytes, bytes + start, count - start);
    return count - start;
}

int hx_incoming_find_header(HxIncoming *incoming, uint8_t bytes[HXFR_HEADER_SIZE],
                            HxfrHeader *ret_header)
{
    size_t count = HXFR_HEADER_SIZE;
    while (hxfr_decode_header(bytes, count, ret_header) < 0) {
        count = drop_to_magic(bytes, count);
        while (count < HXFR_HEADER_SIZE) {
            ssize_t n = recv(incoming->fd, bytes + count, HXFR_HEADER_SIZE - count, 0);
            if (n == 0)
                return -ENODATA;
            if (n < 0 && errno != EAGAIN && errno != EINTR)
                return -errno;
            count += MAX(n, 0);
        }
    }
    return 0;
}

void hx_incoming_clear(HxIncoming *incoming)
{
    free(incoming->payload);
    incoming->payload = NULL;
    incoming->payload_capacity = 0;
}
