/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/relay.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "launcher/base/error.h"
#include "launcher/base/fd.h"
#include "launcher/base/outlet.h"

typedef struct {
    int from, to;
    gboolean ended; /* nothing more comes, or nobody takes it */
    size_t begin, end;
    char held[64 * 1024]; /* what is to be written, from begin to end */
} Way;

static gboolean holds(const Way *way)
{
    return way->begin < way->end;
}

/* Returns 0 or a negative errno. */
static int take(Way *way)
{
    ssize_t n = read(way->from, way->held, sizeof way->held);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    way->begin = 0;
    way->end = n;
    way->ended = n == 0;
    return 0;
}

static int give(Way *way)
{
    ssize_t n = hx_outlet_write(way->to, way->held + way->begin, way->end - way->begin);
    if (n < 0)
        return n == -EAGAIN || n == -EINTR ? 0 : n;
    way->begin += n;
    return 0;
}

/* What stdin has goes to the peer.  One that reads no more may still have something to say. */
static void go_in(Way *way, short readable, short writable)
{
    int r = 0;
    if (holds(way) && writable)
        r = give(way);
    else if (!holds(way) && readable)
        r = take(way);
    if (r < 0) {
        way->begin = way->end;
        way->ended = TRUE;
    }
    if (way->ended)
        shutdown(way->to, SHUT_WR);
}

/* What the peer has goes to stdout.  FALSE, with @error or without, where there is no more. */
static gboolean go_out(Way *way, short readable, short writable, GError **error)
{
    if (holds(way) && writable)
        return give(way) == 0;
    if (writable & (POLLERR | POLLHUP | POLLNVAL))
        return FALSE; /* nobody reads it */
    int r = !holds(way) && readable ? take(way) : 0;
    if (r < 0)
        hx_set_error_errno(error, HX_ERROR_PROTOCOL, -r, "the connection to the guest broke");
    return r == 0 && !way->ended;
}

gboolean hx_relay(int in, int out, int peer, GCancellable *cancel, GError **error)
{
    g_autofree Way *inward = g_new0(Way, 1), *outward = g_new0(Way, 1);
    hx_autofd int outlet = hx_outlet_open(out);
    if (outlet < 0) {
        hx_set_error_errno(error, HX_ERROR_FAILED, -outlet, "cannot write to stdout");
        return FALSE;
    }
    GPollFD cancelled = {.fd = -1};
    gboolean pollable = g_cancellable_make_pollfd(cancel, &cancelled);
    g_autoptr(GError) cause = NULL;
    hx_set_nonblocking(peer, 1);
    inward->from = in;
    outward->from = inward->to = peer;
    outward->to = outlet;
    gboolean goes_on = TRUE;
    while (goes_on && !g_cancellable_is_cancelled(cancel)) {
        struct pollfd fds[] = {
            {.fd = inward->ended || holds(inward) ? -1 : in, .events = POLLIN},
            {.fd = holds(inward) ? peer : -1, .events = POLLOUT},
            {.fd = holds(outward) ? -1 : peer, .events = POLLIN},
            /* Without anything to write, whether somebody reads it. */
            {.fd = outlet, .events = holds(outward) ? POLLOUT : 0},
            {.fd = cancelled.fd, .events = POLLIN},
        };
        if (poll(fds, G_N_ELEMENTS(fds), -1) < 0)
            continue;
        if (!inward->ended)
            go_in(inward, fds[0].revents, fds[1].revents);
        goes_on = go_out(outward, fds[2].revents, fds[3].revents, &cause);
    }
    if (pollable)
        g_cancellable_release_fd(cancel);
    if (!cause)
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&cause));
    return FALSE;
}
