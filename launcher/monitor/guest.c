/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the guest says of itself: systemd's notifications over vsock.
 *
 * Theory of operation.  The credential vmm.notify_socket names a vsock port of the host's.  For
 * each message the guest's PID 1 connects, writes "NAME=VALUE" lines, shuts its sending side down
 * and waits for us to close (systemd(1), sd_notify(3)).  A connection that is never closed would
 * hang the guest's boot, so each is closed at its end of file, when it has said more than a message
 * may hold, or after a few seconds. */
#include <errno.h>
#include <glib-unix.h>
#include <linux/vm_sockets.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "launcher/base/error.h"
#include "launcher/base/fd.h"
#include "launcher/base/log.h"
#include "launcher/base/printable.h"
#include "launcher/base/unix-socket.h"
#include "launcher/domain/vm-domain.h"
#include "launcher/monitor/internal.h"

#define MESSAGE_MAX 4096
#define CONNECTIONS_MAX 16
#define MESSAGE_TIMEOUT_MS 5000
#define STATUS_MAX 200 /* characters of the guest's that are kept and shown */

typedef struct {
    HxMonitor *monitor;
    int fd;
    guint watch, timer;
    GString *message;
} HxNotification;

static void take_message(HxMonitor *monitor, const char *message)
{
    g_auto(GStrv) lines = g_strsplit(message, "\n", -1);
    monitor->guest_alive = TRUE;
    for (char **line = lines; *line; line++) {
        if (g_str_equal(*line, "READY=1"))
            monitor->guest_ready = TRUE;
        if (g_str_has_prefix(*line, "STATUS=")) {
            /* The guest's words go to terminals and logs. */
            g_free(monitor->guest_status);
            monitor->guest_status = hx_printable_start(*line + strlen("STATUS="), STATUS_MAX);
        }
    }
}

static void finish(HxNotification *notification)
{
    take_message(notification->monitor, notification->message->str);
    notification->monitor->notify_connections--;
    if (notification->watch)
        g_source_remove(notification->watch);
    if (notification->timer)
        g_source_remove(notification->timer);
    g_string_free(notification->message, TRUE);
    hx_close(&notification->fd);
    g_free(notification);
}

static gboolean on_notification(int fd, GIOCondition condition, void *data)
{
    HxNotification *notification = data;
    char buffer[512];
    ssize_t n = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return G_SOURCE_CONTINUE;
    if (n > 0)
        g_string_append_len(notification->message, buffer, n);
    if (n > 0 && notification->message->len <= MESSAGE_MAX)
        return G_SOURCE_CONTINUE;
    notification->watch = 0;
    finish(notification);
    return G_SOURCE_REMOVE;
}

static gboolean on_notification_timeout(void *data)
{
    HxNotification *notification = data;
    notification->timer = 0;
    finish(notification);
    return G_SOURCE_REMOVE;
}

/* With the kernel's vsock every guest of this host could connect: only ours may. */
static gboolean is_our_guest(HxMonitor *monitor, int fd)
{
    if (monitor->vsock_kind == HX_VSOCK_VHOST_USER)
        return TRUE;
    struct sockaddr_vm peer = {0};
    socklen_t size = sizeof peer;
    return getpeername(fd, (struct sockaddr *)&peer, &size) == 0 && peer.svm_cid == monitor->cid;
}

static gboolean on_notify_socket(int fd, GIOCondition condition, void *data)
{
    HxMonitor *monitor = data;
    hx_autofd int connection = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (connection < 0 || monitor->notify_connections >= CONNECTIONS_MAX ||
        !is_our_guest(monitor, connection))
        return G_SOURCE_CONTINUE;
    HxNotification *notification = g_new0(HxNotification, 1);
    notification->monitor = monitor;
    notification->fd = hx_steal_fd(&connection);
    notification->message = g_string_new(NULL);
    notification->watch =
        g_unix_fd_add(notification->fd, G_IO_IN | G_IO_HUP, on_notification, notification);
    notification->timer = g_timeout_add(MESSAGE_TIMEOUT_MS, on_notification_timeout, notification);
    monitor->notify_connections++;
    return G_SOURCE_CONTINUE;
}

/* A listening vsock socket of the kernel's on any free port. */
static int listen_kernel(guint32 *ret_port)
{
    hx_autofd int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    struct sockaddr_vm address = {
        .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = VMADDR_PORT_ANY};
    socklen_t size = sizeof address;
    if (bind(fd, (struct sockaddr *)&address, size) < 0 || listen(fd, SOMAXCONN) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) < 0)
        return -errno;
    *ret_port = address.svm_port;
    return hx_steal_fd(&fd);
}

gboolean hx_monitor_listen_notify(HxMonitor *monitor, GError **error)
{
    if (monitor->vsock_kind == HX_VSOCK_KERNEL) {
        monitor->notify_fd = listen_kernel(&monitor->notify_port);
    } else {
        g_autofree char *file = g_strdup_printf("vsock.sock_%d", HX_NOTIFY_PORT);
        monitor->notify_port = HX_NOTIFY_PORT;
        monitor->notify_fd =
            hx_unix_listen(hx_vm_runtime_path(monitor->vm, file), SOCK_STREAM, 0600);
    }
    if (monitor->notify_fd < 0) {
        hx_set_error_errno(error, HX_ERROR_HOST, -monitor->notify_fd,
                           "cannot listen for the guest's READY");
        return FALSE;
    }
    monitor->notify_watch = g_unix_fd_add(monitor->notify_fd, G_IO_IN, on_notify_socket, monitor);
    return TRUE;
}

void hx_monitor_close_notify(HxMonitor *monitor)
{
    if (monitor->notify_watch)
        g_source_remove(monitor->notify_watch);
    monitor->notify_watch = 0;
    hx_close(&monitor->notify_fd);
    g_clear_pointer(&monitor->guest_status, g_free);
}
