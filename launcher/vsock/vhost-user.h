/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The back end of a vhost-user connection: QEMU's messages set up memory and queues. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "launcher/vsock/events.h"
#include "launcher/vsock/guest-memory.h"
#include "launcher/vsock/session.h"
#include "launcher/vsock/virtqueue.h"

/* The queues that reach the back end.  The front end keeps the event queue (virtio 1.2, 5.10.2),
 * and its one event, TRANSPORT_RESET, is the front end's to send: for a guest that was moved.  QEMU
 * 10 moves none that has this device ("non-migratable"), and so never sends it. */
enum { HX_VSOCK_RX = 0, HX_VSOCK_TX = 1, HX_VSOCK_QUEUES = 2 };

typedef struct HxVhostUser HxVhostUser;

/* Serve the front ends that connect to @listen_fd, one after another; with -1 the one that
 * hx_vhost_user_serve gets or hx_vhost_user_restore finds.  @reset is called whenever the guest
 * that was there is gone: another one, or the same after a reset, knows nothing of what was
 * before.  @listen_fd stays the caller's, non-blocking, and so does @session, which keeps what
 * the front end sets up.  Returns NULL with *ret_error, a negative errno. */
HxVhostUser *hx_vhost_user_new(HxEvents *events, HxSession *session, int listen_fd,
                               uint64_t guest_cid, void (*reset)(void *data), void *data,
                               int *ret_error);

/* Go on with the front end that an earlier process served, where @session has one that is usable.
 * Returns whether. */
bool hx_vhost_user_restore(HxVhostUser *vhost);

/* Serve the front end at the other end of @fd, which stays the caller's.  Returns 0 or a negative
 * errno. */
int hx_vhost_user_serve(HxVhostUser *vhost, int fd);

/* Whether the front end is gone, and no other can come. */
bool hx_vhost_user_ended(const HxVhostUser *vhost);

void hx_vhost_user_free(HxVhostUser *vhost);

/* Drop a front end whose memory was lost in the last round of packets.  To be called after it. */
void hx_vhost_user_check_memory(HxVhostUser *vhost);

/* Owned by @vhost, and as long-lived. */
HxVirtqueue *hx_vhost_user_queue(HxVhostUser *vhost, unsigned index);

/* The virtio features that the guest's driver took; the same. */
const uint64_t *hx_vhost_user_features(const HxVhostUser *vhost);
