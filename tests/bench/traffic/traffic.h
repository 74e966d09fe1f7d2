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

/* A listener at "vsock-listen:PORT" or "unix-listen:PATH", or a connection to "vsock:PORT",
 * "unix:PATH" or "unix-vsock:PORT:PATH", the guest's @PORT by the vsock device's sockets at PATH.
 * @type is SOCK_STREAM or SOCK_SEQPACKET.  A descriptor, the caller's, or a negative errno. */
int traffic_listen(const char *address, int type);
int traffic_connect(const char *address, int type, int64_t deadline);

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

/* What traffic_mixed() is to do, and did. */
typedef struct {
    const char *address; /* of traffic_listen() or traffic_connect() */
    int type;            /* SOCK_STREAM or SOCK_SEQPACKET */
    unsigned count;      /* connections at once, of the side that connects */
    uint64_t bytes;      /* to move at least, both directions together, of the side that connects */
    uint64_t seed;       /* of that side: it tells the other */

    uint64_t received;    /* bytes, each as it should be */
    unsigned connections; /* that ended */
    unsigned cut;         /* of those: closed with data on its way */
    int64_t took;         /* ns */
    char failure[160];    /* the first, or "" */
} TrafficMixed;

/* One side of connections that open, carry bytes both ways at once, and close; returns when all are
 * over. */
void traffic_mixed(TrafficMixed *mixed);

/* Make a guest of this process 1: modules, devices, network; standard input and output become the
 * second serial port. */
void traffic_become_init(void);
