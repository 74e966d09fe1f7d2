/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Theory of operation.  libssh's and libcurl's blocking calls end when their socket does.  A thread
 * sleeps in poll(2) until the deadline, the cancellable or a change of the deadline (an eventfd),
 * and on the first two shuts the socket down, through a descriptor of its own: the library may
 * have closed its one, and its number may be another file by then. */
#include "guest-provision/deadline.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "launcher/base/error.h"
#include "launcher/base/fd.h"

struct HxDeadline {
    int fd;
    int changed; /* eventfd: the fields below changed */
    int over;    /* eventfd: the socket was shut down */
    GCancellable *cancel;
    GThread *thread;
    GMutex mutex;     /* for all below */
    gint64 when;      /* monotonic time in µs; 0: never */
    guint grace;      /* s from the cancellation to the end */
    gint64 cancelled; /* when the cancellation was heard; 0: not yet */
    gboolean ending;
    HxDeadlineState state;
};

/* One look at what happened, with the mutex held.  Returns the poll timeout in ms, -1 for none. */
static int look(HxDeadline *deadline)
{
    if (deadline->state != HX_DEADLINE_HOLDS)
        return -1;
    gint64 now = g_get_monotonic_time();
    if (!deadline->cancelled && g_cancellable_is_cancelled(deadline->cancel))
        deadline->cancelled = now;
    gint64 left = deadline->when ? deadline->when - now : G_MAXINT64;
    gint64 grace_left = deadline->cancelled
                            ? deadline->cancelled + deadline->grace * G_TIME_SPAN_SECOND - now
                            : G_MAXINT64;
    if (grace_left <= 0)
        deadline->state = HX_DEADLINE_CANCELLED;
    else if (left <= 0)
        deadline->state = HX_DEADLINE_PASSED;
    if (deadline->state != HX_DEADLINE_HOLDS) {
        shutdown(deadline->fd, SHUT_RDWR);
        eventfd_write(deadline->over, 1);
        return -1;
    }
    left = MIN(left, grace_left);
    return left == G_MAXINT64 ? -1 : MIN(left / 1000 + 1, G_MAXINT);
}

static void *watch(void *data)
{
    HxDeadline *deadline = data;
    int cancel_fd = deadline->cancel ? g_cancellable_get_fd(deadline->cancel) : -1;
    for (;;) {
        g_mutex_lock(&deadline->mutex);
        gboolean ending = deadline->ending;
        int timeout = ending ? 0 : look(deadline);
        gboolean heard = deadline->cancelled || deadline->state != HX_DEADLINE_HOLDS;
        g_mutex_unlock(&deadline->mutex);
        if (ending)
            break;
        /* A cancelled cancellable stays readable: once it is heard, look away. */
        struct pollfd fds[] = {
            {.fd = deadline->changed, .events = POLLIN},
            {.fd = heard ? -1 : cancel_fd, .events = POLLIN},
        };
        poll(fds, G_N_ELEMENTS(fds), timeout);
        eventfd_t count;
        if (fds[0].revents)
            eventfd_read(deadline->changed, &count);
    }
    if (cancel_fd >= 0)
        g_cancellable_release_fd(deadline->cancel);
    return NULL;
}

HxDeadline *hx_deadline_new(int fd, GCancellable *cancel, GError **error)
{
    hx_autofd int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    hx_autofd int changed = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    hx_autofd int over = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (own < 0 || changed < 0 || over < 0) {
        hx_set_error_errno(error, HX_ERROR_HOST, errno, "cannot watch over a connection");
        return NULL;
    }
    HxDeadline *deadline = g_new0(HxDeadline, 1);
    deadline->fd = hx_steal_fd(&own);
    deadline->changed = hx_steal_fd(&changed);
    deadline->over = hx_steal_fd(&over);
    deadline->cancel = cancel ? g_object_ref(cancel) : NULL;
    g_mutex_init(&deadline->mutex);
    deadline->thread = g_thread_try_new("deadline", watch, deadline, NULL);
    if (!deadline->thread) {
        g_set_error(error, HX_ERROR, HX_ERROR_HOST, "cannot start a thread");
        hx_deadline_free(deadline);
        return NULL;
    }
    return deadline;
}

void hx_deadline_free(HxDeadline *deadline)
{
    if (!deadline)
        return;
    g_mutex_lock(&deadline->mutex);
    deadline->ending = TRUE;
    g_mutex_unlock(&deadline->mutex);
    eventfd_write(deadline->changed, 1);
    if (deadline->thread)
        g_thread_join(deadline->thread);
    hx_close(&deadline->fd);
    hx_close(&deadline->changed);
    hx_close(&deadline->over);
    g_clear_object(&deadline->cancel);
    g_mutex_clear(&deadline->mutex);
    g_free(deadline);
}

void hx_deadline_set(HxDeadline *deadline, guint seconds)
{
    g_mutex_lock(&deadline->mutex);
    deadline->when = seconds ? g_get_monotonic_time() + (gint64)seconds * G_USEC_PER_SEC : 0;
    g_mutex_unlock(&deadline->mutex);
    eventfd_write(deadline->changed, 1);
}

void hx_deadline_set_grace(HxDeadline *deadline, guint seconds)
{
    g_mutex_lock(&deadline->mutex);
    deadline->grace = seconds;
    g_mutex_unlock(&deadline->mutex);
    eventfd_write(deadline->changed, 1);
}

int hx_deadline_fd(const HxDeadline *deadline)
{
    return deadline->over;
}

HxDeadlineState hx_deadline_state(HxDeadline *deadline)
{
    g_mutex_lock(&deadline->mutex);
    HxDeadlineState state = deadline->state;
    g_mutex_unlock(&deadline->mutex);
    return state;
}
