/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The process's one epoll instance, and what waits in it. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

#define HX_CONTAINER_OF(pointer, type, member)                                                     \
    ((type *)((char *)(pointer) - offsetof(type, member)))

/* Embedded in what wants the events of a descriptor.  Zeroed and with `ready` set before it is
 * added; its owner removes it before it closes the descriptor or frees the memory. */
typedef struct HxEventSource HxEventSource;
struct HxEventSource {
    void (*ready)(HxEventSource *source, uint32_t events);
    int fd; /* borrowed */
};

typedef struct {
    int epoll_fd;
    struct epoll_event batch[64];
    int next, count; /* the part of the batch that is not dispatched yet */
} HxEvents;

/* Returns 0 or a negative errno. */
int hx_events_init(HxEvents *events);

void hx_events_clear(HxEvents *events);

/* Watch @fd for @mask (EPOLLIN, EPOLLET, …).  Returns 0 or a negative errno (-EPERM: a descriptor
 * of a kind that cannot be waited for). */
int hx_events_add(HxEvents *events, HxEventSource *source, int fd, uint32_t mask);

/* Replace the mask.  With EPOLLET, what holds already is reported once more. */
int hx_events_modify(HxEvents *events, HxEventSource *source, uint32_t mask);

/* Stop watching, also for events already fetched.  Nothing where @source is not added. */
void hx_events_remove(HxEvents *events, HxEventSource *source);

/* Wait up to @timeout µs (-1: without end) and call the sources' ready().  Returns 0 or a negative
 * errno. */
int hx_events_dispatch(HxEvents *events, int64_t timeout);
