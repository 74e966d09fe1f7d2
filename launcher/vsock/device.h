/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The vsock device: packets between a guest's two queues and Unix sockets of the host. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "launcher/vsock/events.h"
#include "launcher/vsock/session.h"
#include "launcher/vsock/virtqueue.h"

/*
 * Two types of connection (virtio 1.2, 5.10.6): streams, and with VIRTIO_VSOCK_F_SEQPACKET
 * messages. host-sockets.h says where each of them goes on the host.
 *
 * Messages keep their boundaries, byte for byte, in both directions, with the limits of what is
 * between them:
 *   - the longest message has HX_CONNECTION_BUFFER bytes, or what the receiving end's buffer holds
 *     (buf_alloc, SO_SNDBUF) where that is less; a longer one resets its connection, and the log
 *     says so;
 *   - one of no bytes is not passed on: a Unix socket cannot tell it from the end, and Linux's own
 *     vsock sockets send none;
 *   - Unix sockets do not know records: VIRTIO_VSOCK_SEQ_EOR ends at the host, and never comes from
 *     it;
 *   - a message whose end has not come when its sender shuts down is dropped.
 */

/* Connections at once, those that are ending included; one more is refused.  Fewer where the limit
 * on descriptors (RLIMIT_NOFILE) is below 2400.  Memory for data is at most HX_CONNECTION_BUFFER
 * each for streams; for messages twice that, in each direction one buffer, and one bit per byte of
 * it. */
#define HX_VSOCK_CONNECTIONS_MAX 2048

/* The longest path for the host's socket: "_4294967295" is added for the guest's connections. */
#define HX_VSOCK_PATH_MAX 96

typedef struct HxVsock HxVsock;

/* Listen at @host_path for connections to the guest; PATH_PORT is where those of the guest go.
 * @session, the caller's, has HX_VSOCK_CONNECTIONS_MAX slots.  Returns NULL with *ret_error, a
 * negative errno. */
HxVsock *hx_vsock_new(HxEvents *events, HxSession *session, uint64_t guest_cid,
                      const char *host_path, int *ret_error);

/* Ends all connections and removes the host's socket. */
void hx_vsock_free(HxVsock *vsock);

/* The queues, to the guest and from it, and the features that its driver took; all live as long as
 * @vsock. */
void hx_vsock_set_queues(HxVsock *vsock, HxVirtqueue *rx, HxVirtqueue *tx,
                         const uint64_t *features);

/* The guest has forgotten all connections: end them.  What it had sent still goes to the host. */
void hx_vsock_reset(HxVsock *vsock);

/* End the connections that an earlier process had: with @tell_guest it gets an RST for each, as
 * soon as its queues run. */
void hx_vsock_end_lost(HxVsock *vsock, bool tell_guest);

/* Move packets, for a bounded time.  To be called after each round of events.  Returns how long the
 * next round may wait for events, in µs: 0 where there is more to do at once, -1 without end. */
int64_t hx_vsock_run(HxVsock *vsock);
