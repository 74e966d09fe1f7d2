/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whether the guest's SSH server answers.
 *
 * Theory of operation.  A try connects and reads the server's first word, in a thread of its own.
 * The first begins once the guest is ready: one beside its boot would start a server there that
 * takes from the boot.  Where it was in vain the monitor tries again.  The end of the VM, for
 * whatever reason, cancels the try under way. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "launcher/base/error.h"
#include "launcher/base/fd.h"
#include "launcher/base/pause.h"
#include "launcher/monitor/internal.h"

#define SSH_PORT 22
#define SSH_TRIES 10
#define SSH_TRY_SECONDS 30
#define SSH_PAUSE_MS 500

typedef struct {
    HxMonitor *monitor;
    GCancellable *cancel;
    GError *error;
} SshTry;

static SshTry *ssh_try_new(HxMonitor *monitor)
{
    SshTry *attempt = g_new0(SshTry, 1);
    attempt->monitor = monitor;
    attempt->cancel = monitor->ssh_try;
    return attempt;
}

/* Read exactly @size bytes from @fd until @deadline, however slowly they come.  Returns 0 or a
 * negative errno. */
static int read_until(int fd, char *buffer, size_t size, gint64 deadline, GCancellable *cancel)
{
    while (size > 0) {
        int r = hx_await_readable(fd, deadline, cancel);
        if (r < 0)
            return r;
        ssize_t n = recv(fd, buffer, size, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
            return n == 0 ? -ENODATA : -errno;
        buffer += MAX(n, 0);
        size -= MAX(n, 0);
    }
    return 0;
}

static void read_banner(SshTry *attempt)
{
    char banner[4];
    hx_autofd int fd =
        hx_vm_connect(attempt->monitor->vm, SSH_PORT, attempt->cancel, &attempt->error);
    if (fd < 0)
        return;
    gint64 deadline = g_get_monotonic_time() + SSH_TRY_SECONDS * G_TIME_SPAN_SECOND;
    int r = read_until(fd, banner, sizeof banner, deadline, attempt->cancel);
    if (r < 0)
        hx_set_error_errno(&attempt->error, HX_ERROR_GUEST, -r,
                           "the guest's SSH server says nothing");
    else if (memcmp(banner, "SSH-", sizeof banner) != 0)
        g_set_error_literal(&attempt->error, HX_ERROR, HX_ERROR_GUEST,
                            "what answers on the guest's SSH port is no SSH server");
}

static gboolean on_tried(void *data)
{
    SshTry *attempt = data;
    HxMonitor *monitor = attempt->monitor;
    g_clear_error(&monitor->ssh_failure);
    monitor->ssh_failure = attempt->error;
    g_clear_object(&monitor->ssh_try);
    g_free(attempt);
    return G_SOURCE_REMOVE;
}

static void *run_try(void *data)
{
    read_banner(data);
    g_idle_add_full(G_PRIORITY_DEFAULT, on_tried, data, NULL);
    return NULL;
}

static void begin_try(HxMonitor *monitor)
{
    if (monitor->domain_ended)
        return;
    monitor->ssh_try = g_cancellable_new();
    g_thread_unref(g_thread_new("ssh", run_try, ssh_try_new(monitor)));
}

static gboolean is_tried(HxMonitor *monitor)
{
    return !monitor->ssh_try;
}

static gboolean is_gone(HxMonitor *monitor)
{
    return monitor->domain_ended;
}

/* Try once, and wait for the outcome, ssh_failure.  FALSE with @error where the VM is to stop. */
static gboolean try_ssh(HxMonitor *monitor, GError **error)
{
    begin_try(monitor);
    if (!hx_monitor_wait(monitor, is_tried, 0, error))
        return FALSE;
    if (!monitor->domain_ended)
        return TRUE;
    g_set_error(error, HX_ERROR, HX_ERROR_GUEST, "%s before its SSH server answered: see %s",
                monitor->domain_end_reason, hx_vm_state_path(monitor->vm, "console.log"));
    return FALSE;
}

/* FALSE with @error where the VM is to stop. */
static gboolean pause_ssh(HxMonitor *monitor, GError **error)
{
    g_autoptr(GError) cause = NULL;
    if (hx_monitor_wait(monitor, is_gone, SSH_PAUSE_MS, &cause) ||
        g_error_matches(cause, HX_ERROR, HX_ERROR_TIMEOUT))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&cause));
    return FALSE;
}

gboolean hx_monitor_await_ssh(HxMonitor *monitor, GError **error)
{
    hx_monitor_begin_phase(monitor, "ssh");
    for (int i = 0; i < SSH_TRIES; i++) {
        if ((i > 0 && !pause_ssh(monitor, error)) || !try_ssh(monitor, error))
            return FALSE;
        if (!monitor->ssh_failure) {
            hx_monitor_end_phase(monitor, "answers on vsock port %d", SSH_PORT);
            return TRUE;
        }
    }
    g_propagate_error(error, g_steal_pointer(&monitor->ssh_failure));
    return FALSE;
}

static gboolean is_over(void *data)
{
    return is_tried(data);
}

void hx_monitor_end_ssh(HxMonitor *monitor)
{
    g_cancellable_cancel(monitor->ssh_try);
    hx_monitor_iterate(is_over, monitor, 0);
    g_clear_error(&monitor->ssh_failure);
}
