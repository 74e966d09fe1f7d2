/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Private to the device: its state, and a connection together with its host socket. */
#pragma once

#include <glib.h>

#include "launcher/vsock/connection.h"
#include "launcher/vsock/device.h"
#include "launcher/vsock/events.h"
#include "launcher/vsock/held-data.h"
#include "launcher/vsock/host-sockets.h"
#include "launcher/vsock/polling.h"
#include "launcher/vsock/session.h"
#include "launcher/vsock/virtqueue.h"

/* IOV_MAX: what one recvmsg or sendmsg takes, and no less than the longest chain of the driver's.
 */
#define HX_GATHER_MAX 1024
/* Chains per lap of either queue. */
#define HX_LAP 128
/* How long chains of the guest's packets may wait to be published, for more to join them. */
#define HX_RETURN_US 1000
/* They are published at the latest when they held so many bytes, a quarter of what a guest may have
 * under way: it frees them beside its sending then. */
#define HX_RETURN_BYTES (HX_CONNECTION_BUFFER / 4)
/* Chains per read from a host socket: at 4 KiB, as Linux guests offer them, 128 KiB. */
#define HX_READ_CHAINS 32
/* With so many RSTs due, no more packets are taken from the guest before it takes those. */
#define HX_RESETS_PAUSE 1024
#define HX_RESETS_MAX (HX_RESETS_PAUSE + HX_LAP + 2 * HX_VSOCK_CONNECTIONS_MAX)

/* Of a message of the host's program what the guest did not take at once. */
typedef struct {
    uint8_t *data; /* NULL while there is none */
    uint32_t size, sent;
} HxHostMessage;

typedef struct {
    HxVsock *vsock;
    HxConnection connection;
    uint64_t key; /* guest's and host's port, in vsock->by_ports */
    HxEventSource source;
    int fd;        /* -1 once the host's program is gone; the guest's RST is then awaited */
    unsigned slot; /* in the session, while not detached */
    GList all_link, run_link;
    bool queued;    /* in vsock->run */
    bool detached;  /* the guest has no such connection any more: only held data is left to write */
    bool readable;  /* there may be something to read; edge-triggered, so until read() says no */
    bool ending;    /* the host's program has shut down or closed: read to the end */
    bool hung_up;   /* it has closed */
    bool ended;     /* read to the end */
    bool deaf;      /* it takes no more */
    bool reset_due; /* by hx_channel_check, when nobody uses it */
    HxHeldData held;
    HxHostMessage message;
    unsigned read_chains; /* how many chains to offer to the next read */
} HxChannel;

/* An RST that is due to the guest without a connection. */
typedef struct {
    uint64_t cid; /* whose address the guest used: 2, unless it was wrong */
    uint32_t host_port, guest_port;
    uint16_t type;
} HxReset;

struct HxVsock {
    HxEvents *events;
    HxSession *session;
    uint64_t guest_cid;
    HxHostSockets *host;
    HxVirtqueue *rx, *tx;
    const uint64_t *features;
    GHashTable *by_ports; /* HxChannel.key → HxChannel */
    GQueue all;           /* every channel, oldest first */
    GQueue run;           /* those with something for the guest */
    uint32_t next_host_port;
    unsigned
        connections_max; /* HX_VSOCK_CONNECTIONS_MAX, or what the limit on descriptors allows */

    HxReset resets[HX_RESETS_MAX];
    unsigned resets_start, resets_count;

    /* Consecutive RW packets to one channel, written at once. */
    struct {
        HxChannel *channel;
        struct iovec iov[HX_GATHER_MAX];
        unsigned n_iov;
        uint16_t heads[HX_LAP];
        unsigned n_heads;
    } gather;
    gint64 returned_since; /* µs: chains of the tx queue wait to be published; 0: none do */
    unsigned returned_bytes;
    bool return_now;   /* they wait no longer */
    HxPolling polling; /* of the tx queue */
    /* Buffers of the guest's for one read: whole, and behind the header. */
    struct iovec buffers[HX_GATHER_MAX], payload[HX_GATHER_MAX];
    /* What one read of a message finds beyond those. */
    uint8_t message[HX_CONNECTION_BUFFER];
};

/* Whether the guest's driver knows connections with messages. */
static inline bool hx_vsock_has_seqpacket(const HxVsock *vsock)
{
    return *vsock->features >> VIRTIO_VSOCK_F_SEQPACKET & 1;
}

static inline bool hx_channel_is_seqpacket(const HxChannel *channel)
{
    return channel->connection.type == VIRTIO_VSOCK_TYPE_SEQPACKET;
}

/* Queue an RST that belongs to no connection. */
void hx_vsock_refuse(HxVsock *vsock, uint64_t cid, uint32_t host_port, uint32_t guest_port,
                     uint16_t type);

/* Whether another channel fits; makes room where one is only left to wait. */
bool hx_vsock_has_room(HxVsock *vsock);

/* One lap: returns whether to come back at once.  device-tx.c, device-rx.c */
bool hx_vsock_run_tx(HxVsock *vsock);
bool hx_vsock_run_rx(HxVsock *vsock);

/* Take over @fd for @connection; NULL, and @fd closed, where it cannot be waited for. */
HxChannel *hx_channel_new(HxVsock *vsock, const HxConnection *connection, int fd);

/* Forget the channel, and close its socket. */
void hx_channel_free(HxChannel *channel);

/* The guest has, or is about to get, an RST: nothing passes between it and the channel any more.
 * What it had sent is still written; the channel is freed then, or at once. */
void hx_channel_detach(HxChannel *channel);

/* Queue an RST and detach. */
void hx_channel_reset(HxChannel *channel);

/* Write data of the guest's; what the socket does not take is held.  The connection accounts for
 * both.  Never frees the channel. */
void hx_channel_write(HxChannel *channel, const struct iovec *iov, unsigned count);

/* Write a message of the guest's, or hold a part of it; @end: this is its last.  The same for the
 * rest. */
void hx_channel_write_message(HxChannel *channel, const struct iovec *iov, unsigned count,
                              bool end);

/* Reset the channel where that is due, and return true: it may be freed. */
bool hx_channel_check(HxChannel *channel);

/* The guest's shutdown flags have changed.  May free the channel. */
void hx_channel_guest_shutdown(HxChannel *channel);

/* Queue the channel where it has something for the guest. */
void hx_channel_schedule(HxChannel *channel);

/* Whether the socket may be read, or a message is on its way, and the guest takes it. */
bool hx_channel_wants_turn(const HxChannel *channel);

/* A read has found the end. */
void hx_channel_read_end(HxChannel *channel);

/* After a read: what the host's program has shut down is now to be told to the guest. */
void hx_channel_settle(HxChannel *channel);

/* Close the socket of a program that is gone; the guest's RST is then awaited. */
void hx_channel_close_socket(HxChannel *channel);
