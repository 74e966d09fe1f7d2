/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Theory of operation
 *
 * One thread.  After each round of epoll events the device runs laps over its two queues, bounded
 * so that events get their turn.  Nothing waits for anything but epoll: a host socket that takes
 * nothing has its data held, up to the credit its guest was given; a guest that offers no buffers
 * leaves the host's data in the sockets.
 *
 * RSTs that belong to no connection are queued.  When too many are, no more packets are taken from
 * the guest before it takes those: its own backlog then bounds them.
 */
#include "launcher/vsock/device.h"

#include <errno.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "launcher/base/deadline.h"
#include "launcher/base/fd.h"
#include "launcher/base/log.h"
#include "launcher/vsock/channel.h"

/* Ports below are for programs to listen at; those of connections from the host are above. */
#define FIRST_HOST_PORT (1u << 30)

void hx_vsock_refuse(HxVsock *vsock, uint64_t cid, uint32_t host_port, uint32_t guest_port,
                     uint16_t type)
{
    if (vsock->resets_count == HX_RESETS_MAX) {
        hx_log_warning("the guest takes no packets: an RST is lost");
        return;
    }
    unsigned end = (vsock->resets_start + vsock->resets_count++) % HX_RESETS_MAX;
    vsock->resets[end] = (HxReset){cid, host_port, guest_port, type};
}

bool hx_vsock_has_room(HxVsock *vsock)
{
    if (vsock->all.length < vsock->connections_max)
        return true;
    for (GList *link = vsock->all.head; link; link = link->next) {
        HxChannel *channel = link->data;
        if (!channel->detached && channel->fd >= 0)
            continue;
        if (channel->detached)
            hx_channel_free(channel);
        else
            hx_channel_reset(channel);
        return true;
    }
    return false;
}

/* Why the guest cannot be asked for a connection now, or NULL. */
static const char *refusal(HxVsock *vsock, int type)
{
    if (!hx_virtqueue_usable(vsock->rx) || !hx_virtqueue_usable(vsock->tx))
        return "its driver is not running";
    if (type == SOCK_SEQPACKET && !hx_vsock_has_seqpacket(vsock))
        return "its driver knows no messages";
    return hx_vsock_has_room(vsock) ? NULL : "too many";
}

/* A program of the host asks for the guest's @port. */
static void connect_guest(void *data, int fd, int type, uint32_t port)
{
    HxVsock *vsock = data;
    const char *reason = refusal(vsock, type);
    if (reason) {
        hx_log_debug("a connection to the guest's port %u is refused: %s", port, reason);
        close(fd);
        return;
    }
    uint64_t key;
    do {
        if (++vsock->next_host_port < FIRST_HOST_PORT || vsock->next_host_port == UINT32_MAX)
            vsock->next_host_port = FIRST_HOST_PORT;
        key = (uint64_t)port << 32 | vsock->next_host_port;
    } while (g_hash_table_contains(vsock->by_ports, &key));
    HxConnection connection;
    hx_connection_request(
        &connection, type == SOCK_STREAM ? VIRTIO_VSOCK_TYPE_STREAM : VIRTIO_VSOCK_TYPE_SEQPACKET,
        vsock->guest_cid, port, vsock->next_host_port);
    hx_channel_new(vsock, &connection, fd);
}

/* So many that clients which have not said where to, the front end and its messages find
 * descriptors too: a listening socket that cannot accept would be ready without end. */
static unsigned connections_max(void)
{
    const rlim_t others = HX_HOST_CLIENTS_MAX + 64;
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur <= others)
        return 16;
    return MIN(HX_VSOCK_CONNECTIONS_MAX, limit.rlim_cur - others);
}

HxVsock *hx_vsock_new(HxEvents *events, HxSession *session, uint64_t guest_cid,
                      const char *host_path, int *ret_error)
{
    HxVsock *vsock = g_new0(HxVsock, 1);
    vsock->events = events;
    vsock->session = session;
    vsock->guest_cid = guest_cid;
    vsock->by_ports = g_hash_table_new(g_int64_hash, g_int64_equal);
    vsock->next_host_port = FIRST_HOST_PORT;
    vsock->connections_max = connections_max();
    vsock->host = hx_host_sockets_new(events, host_path, connect_guest, vsock, ret_error);
    if (!vsock->host)
        g_clear_pointer(&vsock, hx_vsock_free);
    return vsock;
}

void hx_vsock_set_queues(HxVsock *vsock, HxVirtqueue *rx, HxVirtqueue *tx, const uint64_t *features)
{
    vsock->features = features;
    vsock->rx = rx;
    vsock->tx = tx;
}

void hx_vsock_reset(HxVsock *vsock)
{
    GList *next;
    for (GList *link = vsock->all.head; link; link = next) {
        HxChannel *channel = link->data;
        next = link->next;
        if (!channel->detached)
            hx_channel_detach(channel);
    }
    vsock->resets_count = 0;
    vsock->returned_since = vsock->polling.look_at = 0;
}

void hx_vsock_end_lost(HxVsock *vsock, bool tell_guest)
{
    HxSessionConnection lost;
    unsigned count = 0;
    for (; hx_session_take_lost(vsock->session, &lost); count++)
        if (tell_guest)
            hx_vsock_refuse(vsock, HX_VSOCK_HOST_CID, lost.host_port, lost.guest_port, lost.type);
    if (count > 0)
        hx_log_info("%u connections of the process before this one are ended", count);
}

void hx_vsock_free(HxVsock *vsock)
{
    if (!vsock)
        return;
    while (vsock->all.head)
        hx_channel_free(vsock->all.head->data);
    hx_host_sockets_free(vsock->host);
    g_hash_table_unref(vsock->by_ports);
    g_free(vsock);
}

int64_t hx_vsock_run(HxVsock *vsock)
{
    bool more = hx_vsock_run_tx(vsock);
    bool paused = vsock->resets_count >= HX_RESETS_PAUSE;
    more |= hx_vsock_run_rx(vsock);
    more |= paused && vsock->resets_count < HX_RESETS_PAUSE;
    if (vsock->rx->broken || vsock->tx->broken) {
        /* One queue alone is no device: the host's programs are not to wait for it. */
        hx_virtqueue_break(vsock->rx, "the other queue is broken");
        hx_virtqueue_break(vsock->tx, "the other queue is broken");
        hx_vsock_reset(vsock);
        return -1;
    }
    if (more)
        return 0;
    gint64 at = vsock->returned_since ? vsock->returned_since + HX_RETURN_US : G_MAXINT64;
    if (vsock->polling.look_at)
        at = MIN(at, vsock->polling.look_at);
    return at == G_MAXINT64 ? -1 : hx_time_left(at);
}
