/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a host socket did not take at once: a ring of HX_CONNECTION_BUFFER bytes while there is any.
 */
#pragma once

#include <stdint.h>
#include <sys/uio.h>

/* All zero: nothing held. */
typedef struct {
    uint8_t *data;
    uint32_t start, length;
} HxHeldData;

/* Copy all of @iov in behind what is there.  The sum must not exceed HX_CONNECTION_BUFFER, which
 * the connection's credit sees to. */
void hx_held_append(HxHeldData *held, const struct iovec *iov, size_t count);

/* Describe what is held in one or two entries.  Returns their number. */
unsigned hx_held_peek(const HxHeldData *held, struct iovec ret[2]);

/* Forget the first @size bytes; with the last, the memory. */
void hx_held_drop(HxHeldData *held, uint32_t size);
