/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Connections through the device of a Frontend: the guest's end packet by packet, and the programs
 * of the host.  What must not fail ends the test. */
#pragma once

#include "tests/fakes/vsock-frontend.h"

#define PEER_BUFFER 65536u /* bytes */

/* A connection's end in the guest, and the host's program. */
typedef struct {
    Frontend *f;
    uint16_t type; /* VIRTIO_VSOCK_TYPE_*; 0: a stream */
    uint32_t guest_port, host_port;
    uint32_t sent, forwarded; /* bytes */
    uint32_t shrunk;          /* how much less than PEER_BUFFER the guest says it has */
    uint32_t host_buffer, host_forwarded;
    int fd; /* the host's program */
} Peer;

/* The payload of the packet that peer_expect received. */
extern uint8_t peer_data[FRONTEND_PACKET_MAX];

/* Send a packet of the guest's. */
void peer_send(Peer *p, unsigned op, uint32_t flags, const void *data, uint32_t size);

/* The next packet, which must be for @p; the second's operation must be @op. */
struct virtio_vsock_hdr peer_next(Peer *p, void *data);
struct virtio_vsock_hdr peer_expect(Peer *p, unsigned op);

/* There is no packet. */
void frontend_expect_silence(Frontend *f);

/* A program of the host listens for the guest's connections to @port; @type is SOCK_STREAM or
 * SOCK_SEQPACKET.  Removed by the second. */
int host_listens(Frontend *f, int type, uint32_t port);
void host_unlistens(Frontend *f, uint32_t port, int *fd);

/* The guest connects to a listener of the host's, a stream or messages. */
Peer guest_connects(Frontend *f, uint32_t guest_port, uint32_t host_port);
Peer guest_connects_seqpacket(Frontend *f, uint32_t guest_port, uint32_t host_port);

/* A program of the host connects to the device and says @text. */
int host_client(Frontend *f, const char *text);
int host_client_seqpacket(Frontend *f, const char *text);

/* A program of the host connects to the guest's @port; what follows the line is sent with it. */
Peer host_connects(Frontend *f, uint32_t port, const char *more);
Peer host_connects_seqpacket(Frontend *f, uint32_t port);

/* What comes next from the socket of a host's program. */
void expect_text(int fd, const char *text);
void expect_end(int fd);
