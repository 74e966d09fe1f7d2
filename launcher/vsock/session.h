/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What outlives the process: the front end's connection with what it has set up, and the ports of
 * the guest's connections.
 *
 * Theory of operation.  QEMU 10's vhost-user-vsock does not connect again when its back end is
 * gone.  So the connection itself must not go: whoever started us keeps its descriptor, and the
 * messages that set up memory and queues with theirs (launcher/base/fd-store.h).  The next process
 * takes them in as if they came from the front end.  Where the rings stand is in guest memory
 * (virtqueue.c), and the guest's connections, of which nothing is left, are in a table of ports in
 * shared memory: each gets an RST, so that no program in the guest waits for what never comes.
 *
 * What cannot be restored is a message of the front end's at which the process is killed: one that
 * it has taken and not kept yet is lost, and an answer that it owes is never given. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "launcher/base/fd-store.h"

typedef struct {
    uint32_t guest_port, host_port;
    uint16_t type; /* VIRTIO_VSOCK_TYPE_* */
    uint16_t used; /* 0: the slot is free */
} HxSessionConnection;

typedef struct {
    int socket;          /* to the keeper; -1 where nothing is kept */
    HxFdStore *restored; /* what the last process kept */
    HxSessionConnection *connections;
    unsigned n_connections;
    GArray *free_slots; /* unsigned */
} HxSession;

/* Take in what the keeper at @socket has, and make the table of @n_connections.  With -1 for
 * @socket nothing is kept.  Waits for the keeper.  @socket stays the caller's.  Returns 0 or a
 * negative errno. */
int hx_session_init(HxSession *session, int socket, unsigned n_connections);

void hx_session_clear(HxSession *session);

/* Keep the front end's connection. */
void hx_session_keep_front_end(HxSession *session, int fd);

/* The connection that the last process had, now the caller's; -1 where there was none. */
int hx_session_restore_front_end(HxSession *session);

void hx_session_forget_front_end(HxSession *session);

/* Keep the payload and the descriptors of a message; of the same @request and @queue only the last
 * is kept.  The descriptors stay the caller's. */
void hx_session_keep(HxSession *session, uint32_t request, unsigned queue, const void *payload,
                     uint32_t size, const int *fds, unsigned n_fds);

void hx_session_forget(HxSession *session, uint32_t request, unsigned queue);

/* The message that the last process kept, or NULL.  Owned by @session; a descriptor that is taken
 * from it is replaced by -1. */
HxFdStoreEntry *hx_session_restore(HxSession *session, uint32_t request, unsigned queue);

/* All that is of use has been taken. */
void hx_session_forget_restored(HxSession *session);

/* The guest has a connection.  Returns its slot; there must be a free one. */
unsigned hx_session_add_connection(HxSession *session, uint32_t guest_port, uint32_t host_port,
                                   uint16_t type);

/* The guest has no such connection any more, or will be told. */
void hx_session_remove_connection(HxSession *session, unsigned slot);

/* Take out one of the connections of the last process.  False where there are none left; to be
 * called until then, before the first connection is added. */
bool hx_session_take_lost(HxSession *session, HxSessionConnection *ret_lost);
