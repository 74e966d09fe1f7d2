/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One connection's state and credit (virtio 1.2, 5.10.6): headers in, headers out, no I/O. */
#pragma once

#include <linux/virtio_vsock.h>
#include <stdbool.h>
#include <stdint.h>

#define HX_VSOCK_HOST_CID 2

/* What a guest may have under way to one connection, in bytes: the credit it is told, and so the
 * most that is ever held here for a host socket that does not take it, and the longest message. */
#define HX_CONNECTION_BUFFER (256u * 1024)

typedef enum {
    HX_CONNECTION_REQUESTED, /* the guest was asked, or is about to be; no data before its answer */
    HX_CONNECTION_OPEN,
} HxConnectionState;

typedef struct {
    uint64_t guest_cid;
    uint32_t guest_port, host_port;
    uint16_t type; /* VIRTIO_VSOCK_TYPE_* */
    HxConnectionState state;

    /* guest to host: free-running byte counts */
    uint32_t received;       /* arrived in packets */
    uint32_t forwarded;      /* of these, no longer held: written to the socket, or of no use */
    uint32_t forwarded_told; /* as the guest knows it */
    /* host to guest */
    uint32_t sent;
    uint32_t guest_buffer, guest_forwarded; /* as the guest's last packet said */

    uint8_t guest_shutdown;     /* VIRTIO_VSOCK_SHUTDOWN_*: what the guest does no more */
    uint8_t host_shutdown;      /* what the host's program does no more */
    uint8_t host_shutdown_told; /* as the guest knows it */
    bool greeting_due;          /* REQUEST or RESPONSE, by state, is to be sent first */
    bool credit_due;
} HxConnection;

/* What a packet from the guest means for who owns the connection. */
typedef enum {
    HX_PACKET_NOTHING,   /* all done; credit or things to send may have changed */
    HX_PACKET_OPENED,    /* the guest accepted the request */
    HX_PACKET_DATA,      /* hdr->len bytes have arrived, or the end of a message */
    HX_PACKET_SHUTDOWN,  /* guest_shutdown has changed */
    HX_PACKET_RESET,     /* the guest refused, or has no such connection any more */
    HX_PACKET_VIOLATION, /* the guest broke the protocol: reset the connection */
} HxPacketMeaning;

/* A connection that the guest asked for with @request, of its type, and the host accepted; RESPONSE
 * is due. */
void hx_connection_accept(HxConnection *connection, uint64_t guest_cid,
                          const struct virtio_vsock_hdr *request);

/* A connection of @type that a program on the host asks the guest for; REQUEST is due. */
void hx_connection_request(HxConnection *connection, uint16_t type, uint64_t guest_cid,
                           uint32_t guest_port, uint32_t host_port);

/* Account for a packet from the guest.  The caller has checked the addresses, the type and that
 * hdr->len bytes are there (0 unless RW).  For HX_PACKET_DATA it calls
 * hx_connection_forwarded when they are out of its hands. */
HxPacketMeaning hx_connection_receive(HxConnection *connection,
                                      const struct virtio_vsock_hdr *packet);

/* @size bytes from the guest are no longer held: they may be sent again. */
void hx_connection_forwarded(HxConnection *connection, uint32_t size);

/* The most that the guest has under way, in bytes: Linux has no more than its own buffer holds. */
uint32_t hx_connection_window(const HxConnection *connection);

/* Whether a packet without payload is to be sent. */
bool hx_connection_control_due(const HxConnection *connection);

/* The next packet without payload; hx_connection_control_due must hold. */
void hx_connection_control(HxConnection *connection, struct virtio_vsock_hdr *ret_packet);

/* The bytes that the guest takes now (5.10.6.3); 0 before it is open and after it shut down. */
uint32_t hx_connection_credit(const HxConnection *connection);

/* The header of an RW packet with @size bytes, at most the credit, and @flags
 * (VIRTIO_VSOCK_SEQ_EOM where it ends a message, otherwise 0). */
void hx_connection_data(HxConnection *connection, uint32_t size, uint32_t flags,
                        struct virtio_vsock_hdr *ret_packet);

/* The guest neither sends nor takes any more: it waits for the RST that confirms it. */
bool hx_connection_guest_done(const HxConnection *connection);
