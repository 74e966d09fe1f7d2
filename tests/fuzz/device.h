/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The vsock device within this process, its guest's memory and its host's sockets, for the fuzz
 * targets and for tests that decide when epoll is asked.  What must not fail ends the process. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "launcher/vsock/device.h"
#include "launcher/vsock/events.h"
#include "launcher/vsock/guest-memory.h"
#include "launcher/vsock/session.h"
#include "launcher/vsock/virtqueue.h"
#include "tests/fuzz/input.h"

#define FUZZ_CID 42
#define FUZZ_PORTS 4        /* listeners of the host: ports 1 to 3 of streams, 4 of messages */
#define FUZZ_MEMORY 0x40000 /* bytes, in two regions of half that border on each other */
#define FUZZ_GUEST_BASE 0x1000ull /* guest-physical address of its first byte */
#define FUZZ_USER_BASE                                                                             \
    0x70000000ull /* the front end's; the second region is FUZZ_USER_GAP later                     \
                   */
#define FUZZ_USER_GAP 0x1000000ull
#define FUZZ_RING 0x8000 /* queue i's rings are at i * FUZZ_RING; two of them, then free memory */
#define FUZZ_FREE (2 * FUZZ_RING)

enum { FUZZ_RX, FUZZ_TX };

typedef struct {
    HxEvents events;
    HxSession session; /* without a keeper */
    HxVsock *vsock;
    HxGuestMemory memory;
    HxVirtqueue queues[2];
    uint64_t features;
    struct vring vrings[2]; /* as the driver has them */
    int memfd;
    uint8_t *bytes; /* guest memory, mapped a second time */
    char *path;     /* the host's socket */
    int listeners[FUZZ_PORTS];
} FuzzDevice;

/* Once per process: a device that waits at sockets in a directory of its own, no queues yet. */
FuzzDevice *fuzz_device_new(void);

/* Use the device's own queues: at first, and again where others go. */
void fuzz_device_own_queues(FuzzDevice *device);

/* Zero memory and start both queues with @size entries. */
void fuzz_device_start(FuzzDevice *device, unsigned size, bool event_idx, bool indirect);

/* End all connections, stop the queues, empty the listeners' backlogs. */
void fuzz_device_stop(FuzzDevice *device);

/* Until nothing is left to do, at most @rounds times.  Times that the device waits for come at
 * once. */
void fuzz_device_run(FuzzDevice *device, unsigned rounds);

/* Put @head into queue @index's available ring. */
void fuzz_offer(FuzzDevice *device, unsigned index, uint16_t head);

/* Non-blocking; the host's program that the guest connected to, or -1. */
int fuzz_accept(FuzzDevice *device, unsigned listener);
