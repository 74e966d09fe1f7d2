/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Private to the back end: its state, and the table of the requests that it takes. */
#pragma once

#include "launcher/vsock/session.h"
#include "launcher/vsock/vhost-user-protocol.h"
#include "launcher/vsock/vhost-user.h"

/* The header is 12 bytes: the padding before it aligns the payload that follows it directly. */
typedef struct {
    uint32_t padding;
    HxVhostHeader header;
    HxVhostPayload payload;
} HxVhostMessage;
G_STATIC_ASSERT(offsetof(HxVhostMessage, payload) ==
                offsetof(HxVhostMessage, header) + sizeof(HxVhostHeader));

struct HxVhostUser {
    HxEvents *events;
    HxSession *session;
    int listen_fd; /* -1: there is one front end, and no other after it */
    uint64_t guest_cid;
    void (*reset)(void *data);
    void *data;

    HxEventSource listener, connection, kick[HX_VSOCK_QUEUES];
    int fd;                 /* the front end; -1 while there is none */
    HxVhostMessage message; /* what has arrived of the next message */
    size_t received;        /* bytes of it, header included */
    int fds[HX_VHOST_FDS_MAX];
    unsigned n_fds;

    bool restoring;                       /* messages come from the session */
    uint64_t features, protocol_features; /* as negotiated */
    HxGuestMemory memory;
    HxVirtqueue queues[HX_VSOCK_QUEUES];
    uint16_t stopped_at[HX_VSOCK_QUEUES]; /* what GET_VRING_BASE said last */
};

/* What of a request outlives the process. */
typedef enum {
    HX_VHOST_NOT_KEPT,
    HX_VHOST_KEPT,
    HX_VHOST_KEPT_BY_INDEX, /* one for each queue, which is in the payload's index */
    HX_VHOST_KEPT_BY_VALUE, /* or in its u64 */
} HxVhostKept;

typedef struct {
    const char *name;
    /* Handle vhost->message, of an allowed size and number of descriptors.  Returns 1 where a reply
     * is in the message, 0 where not, or a negative errno. */
    int (*handle)(HxVhostUser *vhost, HxVhostMessage *m);
    uint32_t min_size, max_size; /* of the payload */
    unsigned max_fds;
    HxVhostKept kept;
} HxVhostRequest;

/* By number; those that are not taken are all zero. */
extern const HxVhostRequest hx_vhost_requests[HX_VHOST_REQUEST_END];

void hx_vhost_init_queue(HxVhostUser *vhost, unsigned index);

/* Stop the queue and close its descriptors. */
void hx_vhost_reset_queue(HxVhostUser *vhost, unsigned index);
