/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Both ends of the transports' benchmark: the same program in the guest, as its init, and on the
 * host. */
#pragma once

#include <stdint.h>

/* CLOCK_MONOTONIC, in ns. */
int64_t traffic_now(void);

/* Connect to, or accept @count connections at, @address:
 *
 *   vsock:PORT  tcp:PORT         to the host, from the guest
 *   file:PATTERN                 a character device, of which there is one
 *   unix:PATH                    to a Unix socket
 *   unix-listen:PATH  tcp-listen:PORT
 *
 * Writes "listening" to standard output once it does.  Returns 0 with @ret_fds, the caller's, or a
 * negative errno; EINTR is not tried again after @deadline. */
int traffic_open(const char *address, unsigned count, int64_t deadline, int *ret_fds);

/* What a command did. */
typedef struct {
    uint64_t bytes;
    int64_t took;    /* ns, from the first byte received on */
    uint64_t rounds; /* of ping */
    int64_t median, p99, least;
    const char *stalled; /* what made no progress for TRAFFIC_STALL, or NULL */
} TrafficResult;

#define TRAFFIC_STALL 2000000000ll /* ns */

/* @size bytes with each write, until the other end closes and for at most @duration ns. */
void traffic_send(int fd, uint32_t size, int64_t duration, TrafficResult *ret);

/* Receive for @duration ns. */
void traffic_receive(int fd, int64_t duration, TrafficResult *ret);

/* @size bytes there and back for @duration ns; the last of them says that it is over. */
void traffic_ping(int fd, uint32_t size, int64_t duration, TrafficResult *ret);

/* The other end of ping. */
void traffic_echo(int fd, TrafficResult *ret);

/* Make a guest of this process 1: modules, devices, network; standard input and output become the
 * second serial port. */
void traffic_become_init(void);
