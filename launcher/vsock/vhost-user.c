/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Theory of operation
 *
 * One front end at a time.  Its messages are handled in order, each to its end, between two rounds
 * of packets on the same thread; nothing of the guest's is touched while a message is handled.
 *
 * A queue starts with its kick descriptor and stops with GET_VRING_BASE ("Ring states" in the
 * document); it is served while it is started and enabled.  QEMU stops the queues both when the
 * guest resets its device and when the VM is paused.  In the first case the guest has forgotten its
 * connections, in the second it goes on with them.  RESET_DEVICE tells them apart; for front ends
 * that do not send it, so does a queue that starts elsewhere than it stopped.
 *
 * Any message that cannot be right ends the connection, with the reason in the log.
 */
#include "launcher/vsock/vhost-user.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

#include "launcher/base/fd-passing.h"
#include "launcher/base/fd.h"
#include "launcher/base/log.h"
#include "launcher/vsock/vhost-user-private.h"

/* A front end that never stops talking is not the only one to be heard. */
#define MESSAGES_PER_TURN 32

HxVirtqueue *hx_vhost_user_queue(HxVhostUser *vhost, unsigned index)
{
    return &vhost->queues[index];
}

const uint64_t *hx_vhost_user_features(const HxVhostUser *vhost)
{
    return &vhost->features;
}

static const char *request_name(uint32_t request)
{
    const char *name = request < HX_VHOST_REQUEST_END ? hx_vhost_requests[request].name : NULL;
    return name ? name : "an unknown request";
}

static int send_reply(HxVhostUser *vhost, HxVhostMessage *m)
{
    m->header.flags = HX_VHOST_VERSION | HX_VHOST_REPLY;
    size_t size = sizeof m->header + m->header.size;
    /* A front end that does not read its few bytes of replies is not waited for. */
    ssize_t n = send(vhost->fd, &m->header, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0)
        return -errno;
    return (size_t)n == size ? 0 : -EMSGSIZE;
}

/* Before it is handled, as that takes the descriptors.  What then fails is forgotten with all. */
static void keep_message(HxVhostUser *vhost)
{
    const HxVhostMessage *m = &vhost->message;
    HxVhostKept kept = hx_vhost_requests[m->header.request].kept;
    uint64_t queue = 0;
    if (kept == HX_VHOST_NOT_KEPT)
        return;
    if (kept == HX_VHOST_KEPT_BY_INDEX)
        queue = m->payload.state.index;
    else if (kept == HX_VHOST_KEPT_BY_VALUE)
        queue = m->payload.u64 & HX_VHOST_VRING_INDEX_MASK;
    if (queue < HX_VSOCK_QUEUES)
        hx_session_keep(vhost->session, m->header.request, queue, &m->payload, m->header.size,
                        vhost->fds, vhost->n_fds);
}

static int handle_message(HxVhostUser *vhost)
{
    HxVhostMessage *m = &vhost->message;
    bool acknowledge = m->header.flags & HX_VHOST_NEED_REPLY &&
                       vhost->protocol_features >> HX_VHOST_PROTOCOL_F_REPLY_ACK & 1;
    if (vhost->n_fds > hx_vhost_requests[m->header.request].max_fds)
        return -EINVAL;
    keep_message(vhost);
    int r = hx_vhost_requests[m->header.request].handle(vhost, m);
    if (r < 0)
        return r;
    if (r == 0 && !acknowledge)
        return 0;
    if (r == 0) {
        m->payload.u64 = 0; /* success */
        m->header.size = sizeof m->payload.u64;
    }
    return send_reply(vhost, m);
}

/* --- the connection ------------------------------------------------------------------------------
 */

static void close_fds(HxVhostUser *vhost)
{
    for (unsigned i = 0; i < vhost->n_fds; i++)
        hx_close(&vhost->fds[i]);
    vhost->n_fds = 0;
}

static int receive(HxVhostUser *vhost, size_t wanted)
{
    const struct iovec iov = {(char *)&vhost->message.header + vhost->received,
                              wanted - vhost->received};
    unsigned n_fds = HX_VHOST_FDS_MAX - vhost->n_fds;
    ssize_t n = hx_receive_fds(vhost->fd, &iov, 1, vhost->fds + vhost->n_fds, &n_fds, MSG_DONTWAIT);
    if (n < 0)
        return n;
    vhost->n_fds += n_fds;
    if (n == 0)
        return -ENODATA;
    vhost->received += n;
    return 0;
}

static int check_header(const HxVhostHeader *header)
{
    if ((header->flags & HX_VHOST_VERSION_MASK) != HX_VHOST_VERSION ||
        header->flags & HX_VHOST_REPLY)
        return -EPROTO;
    if (header->request >= HX_VHOST_REQUEST_END || !hx_vhost_requests[header->request].handle)
        return -EOPNOTSUPP;
    if (header->size < hx_vhost_requests[header->request].min_size ||
        header->size > hx_vhost_requests[header->request].max_size)
        return -EMSGSIZE;
    return 0;
}

static void forget_session(HxVhostUser *vhost)
{
    hx_session_forget_front_end(vhost->session);
    for (uint32_t request = 0; request < HX_VHOST_REQUEST_END; request++)
        for (unsigned i = 0; i < HX_VSOCK_QUEUES; i++)
            if (hx_vhost_requests[request].kept >= (i > 0 ? HX_VHOST_KEPT_BY_INDEX : HX_VHOST_KEPT))
                hx_session_forget(vhost->session, request, i);
}

/* Forget the front end and all that it has set up. */
static void drop_front_end(HxVhostUser *vhost)
{
    forget_session(vhost);
    hx_events_remove(vhost->events, &vhost->connection);
    if (vhost->fd >= 0)
        shutdown(vhost->fd, SHUT_RDWR); /* the keeper may have it for a moment more */
    hx_close(&vhost->fd);
    close_fds(vhost);
    vhost->received = 0;
    vhost->features = vhost->protocol_features = 0;
    for (unsigned i = 0; i < HX_VSOCK_QUEUES; i++)
        hx_vhost_reset_queue(vhost, i);
    hx_guest_memory_clear(&vhost->memory);
    vhost->reset(vhost->data);
}

static void disconnect(HxVhostUser *vhost)
{
    drop_front_end(vhost);
    if (vhost->listen_fd < 0)
        return;
    int r = hx_events_add(vhost->events, &vhost->listener, vhost->listen_fd, EPOLLIN);
    if (r < 0)
        hx_log_error("cannot wait for the next front end: %s", g_strerror(-r));
}

void hx_vhost_user_check_memory(HxVhostUser *vhost)
{
    if (!vhost->memory.lost)
        return;
    hx_log_error(
        "the front end is dropped: it has taken back memory that it shares (SIGBUS); share "
        "a file that keeps its size, as QEMU's memory-backend-memfd does");
    disconnect(vhost);
}

static void connection_ready(HxEventSource *source, uint32_t events)
{
    HxVhostUser *vhost = HX_CONTAINER_OF(source, HxVhostUser, connection);
    HxVhostHeader *header = &vhost->message.header;
    /* A turn ends between two messages: one that is whole causes no event any more. */
    for (int handled = 0; handled < MESSAGES_PER_TURN;) {
        int r = 0;
        size_t wanted = sizeof *header;
        if (vhost->received >= sizeof *header) {
            r = check_header(header);
            wanted += header->size;
        }
        if (r == 0 && vhost->received < wanted) {
            r = receive(vhost, wanted);
            if (r == 0)
                continue;
        }
        if (r == -EAGAIN || r == -EINTR)
            return;
        if (r == -ENODATA && vhost->received == 0) {
            hx_log_info("the front end disconnected");
            disconnect(vhost);
            return;
        }
        if (r == 0)
            r = handle_message(vhost);
        if (r < 0) {
            hx_log_error("the front end is dropped: %s (request %u, %u bytes, %u descriptors): %s",
                         request_name(header->request), header->request, header->size, vhost->n_fds,
                         g_strerror(-r));
            disconnect(vhost);
            return;
        }
        close_fds(vhost);
        vhost->received = 0;
        vhost->message = (HxVhostMessage){0};
        handled++;
    }
}

/* Returns 0 or a negative errno; @fd is taken over with 0. */
static int serve_front_end(HxVhostUser *vhost, int fd)
{
    int r = hx_events_add(vhost->events, &vhost->connection, fd, EPOLLIN);
    if (r < 0)
        return r;
    hx_log_info("a front end connected");
    hx_session_keep_front_end(vhost->session, fd);
    vhost->fd = fd;
    vhost->message = (HxVhostMessage){0};
    return 0;
}

static void listener_ready(HxEventSource *source, uint32_t events)
{
    HxVhostUser *vhost = HX_CONTAINER_OF(source, HxVhostUser, listener);
    hx_autofd int fd = accept4(vhost->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return;
    int r = serve_front_end(vhost, fd);
    if (r < 0) {
        hx_log_error("cannot serve a front end: %s", g_strerror(-r));
        return;
    }
    hx_steal_fd(&fd);
    /* The next one waits in the backlog until this one is gone. */
    hx_events_remove(vhost->events, &vhost->listener);
}

/* --- going on after an earlier process -----------------------------------------------------------
 */

static int restore_message(HxVhostUser *vhost, uint32_t request, unsigned queue)
{
    HxFdStoreEntry *entry = hx_session_restore(vhost->session, request, queue);
    if (!entry)
        return 0;
    HxVhostMessage *m = &vhost->message;
    *m = (HxVhostMessage){.header = {.request = request, .size = entry->size}};
    memcpy(&m->payload, entry->data, MIN(entry->size, sizeof m->payload));
    memcpy(vhost->fds, entry->fds, sizeof entry->fds);
    vhost->n_fds = entry->n_fds;
    entry->n_fds = 0;
    int r = hx_vhost_requests[request].handle(vhost, m);
    close_fds(vhost);
    *m = (HxVhostMessage){0};
    return r;
}

static int restore_messages(HxVhostUser *vhost)
{
    static const uint32_t once[] = {HX_VHOST_SET_PROTOCOL_FEATURES, HX_VHOST_SET_FEATURES,
                                    HX_VHOST_SET_MEM_TABLE};
    /* The descriptor for kicks starts the queue. */
    static const uint32_t per_queue[] = {HX_VHOST_SET_VRING_NUM,   HX_VHOST_SET_VRING_BASE,
                                         HX_VHOST_SET_VRING_ADDR,  HX_VHOST_SET_VRING_ERR,
                                         HX_VHOST_SET_VRING_CALL,  HX_VHOST_SET_VRING_KICK,
                                         HX_VHOST_SET_VRING_ENABLE};
    int r = 0;
    for (size_t i = 0; i < G_N_ELEMENTS(once) && r >= 0; i++)
        r = restore_message(vhost, once[i], 0);
    for (unsigned queue = 0; queue < HX_VSOCK_QUEUES; queue++)
        for (size_t i = 0; i < G_N_ELEMENTS(per_queue) && r >= 0; i++)
            r = restore_message(vhost, per_queue[i], queue);
    return r;
}

bool hx_vhost_user_restore(HxVhostUser *vhost)
{
    hx_autofd int fd = hx_session_restore_front_end(vhost->session);
    if (fd < 0)
        return false;
    vhost->restoring = true;
    int r = restore_messages(vhost);
    vhost->restoring = false;
    hx_session_forget_restored(vhost->session);
    if (r >= 0)
        r = hx_events_add(vhost->events, &vhost->connection, fd, EPOLLIN);
    if (r < 0) {
        hx_log_error("cannot go on with the front end of the process before this one: %s",
                     g_strerror(-r));
        vhost->fd = hx_steal_fd(&fd);
        drop_front_end(vhost);
        return false;
    }
    vhost->fd = hx_steal_fd(&fd);
    hx_events_remove(vhost->events, &vhost->listener);
    hx_log_info("goes on with the front end of the process before this one");
    return true;
}

int hx_vhost_user_serve(HxVhostUser *vhost, int fd)
{
    hx_autofd int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (own < 0)
        return -errno;
    int r = serve_front_end(vhost, own);
    if (r == 0)
        hx_steal_fd(&own);
    return r;
}

bool hx_vhost_user_ended(const HxVhostUser *vhost)
{
    return vhost->listen_fd < 0 && vhost->fd < 0;
}

HxVhostUser *hx_vhost_user_new(HxEvents *events, HxSession *session, int listen_fd,
                               uint64_t guest_cid, void (*reset)(void *data), void *data,
                               int *ret_error)
{
    HxVhostUser *vhost = g_new0(HxVhostUser, 1);
    *vhost = (HxVhostUser){
        .events = events,
        .session = session,
        .listen_fd = listen_fd,
        .guest_cid = guest_cid,
        .reset = reset,
        .data = data,
        .fd = -1,
        .listener.ready = listener_ready,
        .connection.ready = connection_ready,
    };
    for (unsigned i = 0; i < HX_VSOCK_QUEUES; i++)
        hx_vhost_init_queue(vhost, i);
    *ret_error = hx_guest_memory_survive(&vhost->memory);
    if (*ret_error == 0 && listen_fd >= 0)
        *ret_error = hx_events_add(events, &vhost->listener, listen_fd, EPOLLIN);
    if (*ret_error < 0)
        g_clear_pointer(&vhost, hx_vhost_user_free);
    return vhost;
}

void hx_vhost_user_free(HxVhostUser *vhost)
{
    if (!vhost)
        return;
    hx_events_remove(vhost->events, &vhost->listener);
    hx_events_remove(vhost->events, &vhost->connection);
    hx_close(&vhost->fd);
    close_fds(vhost);
    for (unsigned i = 0; i < HX_VSOCK_QUEUES; i++)
        hx_vhost_reset_queue(vhost, i);
    hx_guest_memory_clear(&vhost->memory);
    g_free(vhost);
}
