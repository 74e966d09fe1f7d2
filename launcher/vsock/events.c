/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/vsock/events.h"

#include <errno.h>
#include <glib.h>

#include "launcher/base/fd.h"

int hx_events_init(HxEvents *events)
{
    *events = (HxEvents){.epoll_fd = epoll_create1(EPOLL_CLOEXEC)};
    return events->epoll_fd < 0 ? -errno : 0;
}

void hx_events_clear(HxEvents *events)
{
    hx_close(&events->epoll_fd);
}

int hx_events_add(HxEvents *events, HxEventSource *source, int fd, uint32_t mask)
{
    struct epoll_event event = {.events = mask, .data.ptr = source};
    if (epoll_ctl(events->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
        return -errno;
    source->fd = fd;
    return 0;
}

int hx_events_modify(HxEvents *events, HxEventSource *source, uint32_t mask)
{
    struct epoll_event event = {.events = mask, .data.ptr = source};
    return epoll_ctl(events->epoll_fd, EPOLL_CTL_MOD, source->fd, &event) < 0 ? -errno : 0;
}

void hx_events_remove(HxEvents *events, HxEventSource *source)
{
    if (source->fd <= 0)
        return;
    epoll_ctl(events->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
    source->fd = -1;
    for (int i = events->next; i < events->count; i++)
        if (events->batch[i].data.ptr == source)
            events->batch[i].data.ptr = NULL;
}

int hx_events_dispatch(HxEvents *events, int64_t timeout)
{
    struct timespec limit = {timeout / G_USEC_PER_SEC, timeout % G_USEC_PER_SEC * 1000};
    int count = epoll_pwait2(events->epoll_fd, events->batch, G_N_ELEMENTS(events->batch),
                             timeout < 0 ? NULL : &limit, NULL);
    if (count < 0)
        return errno == EINTR ? 0 : -errno;
    events->count = count;
    for (events->next = 0; events->next < events->count;) {
        struct epoll_event event = events->batch[events->next++];
        HxEventSource *source = event.data.ptr;
        if (source)
            source->ready(source, event.events);
    }
    events->next = events->count = 0;
    return 0;
}
