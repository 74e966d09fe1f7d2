/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a host socket did not take at once, and the beginning of a message whose end has not come: a
 * ring of HX_CONNECTION_BUFFER bytes while there is any. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

/* All zero, but for `messages`: nothing held. */
typedef struct {
    bool messages; /* set before the first append: boundaries count */
    uint8_t *data;
    uint64_t *ends; /* a bit for each byte of the ring: the last of a message */
    uint32_t start, length;
    uint32_t unfinished; /* bytes of the message whose end has not come */
} HxHeldData;

/* Copy all of @iov in behind what is there.  The sum must not exceed HX_CONNECTION_BUFFER, which
 * the connection's credit sees to. */
void hx_held_append(HxHeldData *held, const struct iovec *iov, size_t count);

/* The unfinished message, of at least one byte, ends here. */
void hx_held_end_message(HxHeldData *held);

/* Describe what may be written at once, all or the first whole message, in one or two entries.
 * Returns their number, 0 where there is none. */
unsigned hx_held_peek(const HxHeldData *held, struct iovec ret[2]);

/* Forget the first @size bytes, of no more than one message; with the last, the memory. */
void hx_held_drop(HxHeldData *held, uint32_t size);

/* Forget the unfinished message.  Returns its bytes. */
uint32_t hx_held_drop_unfinished(HxHeldData *held);

/* Forget all. */
void hx_held_clear(HxHeldData *held);
