/* SPDX-License-Identifier: GPL-2.0-or-later */
/* HXFR messages (protocol.h) as they come from a stream socket.  By one thread. */
#pragma once

#include "encoder/protocol.h"

/* {.fd = …} is one of which nothing has come.  The socket's SO_RCVTIMEO is how long bytes that are
 * owed may keep it waiting. */
typedef struct {
    int fd;           /* the caller's */
    uint8_t *payload; /* of the last message; grows as its bytes arrive: a claim costs nothing */
    size_t payload_capacity;
} HxIncoming;

/* Read a header into @bytes and @ret_header; its first byte may take as long as it likes.
 * 0; -ENODATA at the end of the stream; -EPIPE where that is within the header; -ETIMEDOUT where
 * the rest of it does not come; as hxfr_decode_header() where it is none; or another negative
 * errno. */
int hx_incoming_header(HxIncoming *incoming, uint8_t bytes[HXFR_HEADER_SIZE],
                       HxfrHeader *ret_header);

/* Read on from @bytes, which are no header, until they are one, by its magic.  0, -ENODATA, or
 * another negative errno. */
int hx_incoming_find_header(HxIncoming *incoming, uint8_t bytes[HXFR_HEADER_SIZE],
                            HxfrHeader *ret_header);

/* Read @size bytes into payload.  0, -EPIPE, -ETIMEDOUT, -ENOMEM or another negative errno. */
int hx_incoming_payload(HxIncoming *incoming, size_t size);

/* Free the payload. */
void hx_incoming_clear(HxIncoming *incoming);
