/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A vhost-user front end with a guest's driver in it: drives a helixvm-vsock process with a memfd
 * for guest memory and real rings, without a VM.  What must not fail ends the test. */
#pragma once

#include <glib.h>
#include <linux/virtio_ring.h>
#include <linux/virtio_vsock.h>
#include <stdbool.h>

#include "launcher/base/fd-store.h"
#include "launcher/vsock/vhost-user-protocol.h"

#define FRONTEND_CID 42
#define FRONTEND_TIMEOUT 10000 /* ms */
#define FRONTEND_QUEUE 256     /* descriptors of each queue */
#define FRONTEND_SLOTS 128     /* packets to the device, and buffers for it, at once */
#define FRONTEND_PACKET_MAX (120 * 1024)
/* Two regions that border on each other for the guest and nowhere else. */
#define FRONTEND_REGION (16ull << 20)

typedef struct {
    bool event_idx, indirect, seqpacket;
    unsigned rx_buffer; /* bytes of each buffer offered; 0: 4096 */
    uint16_t ring_base; /* where frontend_start lets the rings' indices begin */
    bool rx_pieces;     /* each in two, of which the first ends within the header */
    bool log;           /* for frontend_expect_logged; otherwise it goes to the test's own */
    bool store;         /* keep what frontend_kill needs */
    bool no_driver;     /* only connect: no messages are sent */
} FrontendOptions;

typedef struct {
    struct vring vring;
    uint16_t last_used; /* the driver's counter */
    int kick, call;
    unsigned kicks; /* written */
} FrontendQueue;

typedef struct {
    FrontendOptions options;
    char *directory, *host_path, *socket_path;
    GPid pid;
    HxFdStore *store;
    int store_fd;
    int log_fd;
    off_t log_seen;
    int listen_fd, fd;
    int memfd;
    uint8_t *memory;
    FrontendQueue queues[2];
    bool tx_busy[FRONTEND_SLOTS];
    bool hold_buffers; /* frontend_receive does not offer the buffer again */
    unsigned held;
} Frontend;

/* Start the device of $BUILD (default build) and, unless no_driver, bring its queues up. */
Frontend *frontend_new(FrontendOptions options);

/* Ends the process with SIGTERM; it must exit with status 0 and leave no socket. */
void frontend_free(Frontend *f);

/* End the process with SIGKILL, and start another with what it has stored. */
void frontend_kill(Frontend *f);

/* Close the connection and make another, without queues. */
void frontend_reconnect(Frontend *f);

/* Features, memory, queues from their first index. */
void frontend_start(Frontend *f);

/* SET_MEM_TABLE: what frontend_start begins with, and what may come again at any time. */
void frontend_share_memory(Frontend *f);

/* GET_VRING_BASE of both; then frontend_resume starts them where they stopped. */
void frontend_stop(Frontend *f, unsigned base[2]);
void frontend_resume(Frontend *f, const unsigned base[2]);

/* Send a message with the payload and descriptors given. */
void frontend_message(Frontend *f, uint32_t request, uint32_t flags, const void *payload,
                      uint32_t size, const int *fds, unsigned n_fds);

/* The payload of the reply, of @size bytes. */
void frontend_reply(Frontend *f, uint32_t request, void *payload, uint32_t size);

/* Whether the device has closed the connection, within the timeout. */
bool frontend_is_dropped(Frontend *f);

/* Whether the process still runs. */
bool frontend_is_alive(Frontend *f);

/* The process has said @text in its log since the last call. */
void frontend_expect_logged(Frontend *f, const char *text);

/* Nobody asks anything of the process: it takes no CPU time. */
void frontend_expect_idle(Frontend *f);

/* Its open descriptors. */
unsigned frontend_count_descriptors(Frontend *f);

/* Send a packet of the guest's, hdr->len bytes at @payload with it.  Waits for a free slot. */
void frontend_send(Frontend *f, const struct virtio_vsock_hdr *hdr, const void *payload);

/* Wait until the device has given all packets back. */
void frontend_wait_sent(Frontend *f);

/* The next packet from the device within @timeout ms; false where there is none.  @payload has room
 * for FRONTEND_PACKET_MAX. */
bool frontend_receive(Frontend *f, int timeout, struct virtio_vsock_hdr *ret_hdr, void *payload);

/* Offer again the buffers that were held back. */
void frontend_release_buffers(Frontend *f);

/* Raw access for broken drivers: put @head into queue @index's available ring and kick. */
void frontend_offer(Frontend *f, unsigned index, uint16_t head);
uint64_t frontend_guest_address(const Frontend *f, const void *pointer);

/* Where slot @index's packet is put together: FRONTEND_PACKET_MAX + header, and more behind. */
void *frontend_slot(Frontend *f, unsigned index);
