/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The VM's vsock device: the kernel's, or helixvm-vsock.
 *
 * Theory of operation.  QEMU does not connect again to a vhost-user device that is gone.  So what
 * helixvm-vsock needs to go on, QEMU's connection above all, is kept here, and one that ended is
 * followed by another at once: the guest's connections to the host end, and new ones work.  While
 * QEMU starts it waits for the device's answers, which a new process does not owe it: then the VM
 * fails, as it does where the device ends again and again. */
#include <errno.h>
#include <glib-unix.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "launcher/base/error.h"
#include "launcher/base/fd.h"
#include "launcher/base/log.h"
#include "launcher/base/parts.h"
#include "launcher/base/unix-socket.h"
#include "launcher/monitor/internal.h"

/* One that ends sooner after its start has failed; so many in a row are not followed. */
#define FAILURE_US (10 * G_TIME_SPAN_SECOND)
#define FAILURES_MAX 5

static gboolean on_stored(int fd, GIOCondition condition, void *data)
{
    HxMonitor *monitor = data;
    int r = hx_fd_store_collect(monitor->vsock_store, fd);
    if (r > 0)
        return G_SOURCE_CONTINUE;
    if (r < 0)
        hx_log_warning("cannot keep what helixvm-vsock stores: %s", g_strerror(-r));
    monitor->vsock_store_watch = 0;
    return G_SOURCE_REMOVE;
}

/* Wait no more for it, nor for what it stores: that is all here. */
static void leave(HxMonitor *monitor)
{
    g_clear_handle_id(&monitor->vsock_timer, g_source_remove);
    g_clear_handle_id(&monitor->vsock_ready_watch, g_source_remove);
    hx_close(&monitor->vsock_ready_fd);
    if (monitor->vsock_store_fd >= 0 && monitor->vsock_store)
        hx_fd_store_collect(monitor->vsock_store, monitor->vsock_store_fd);
    g_clear_handle_id(&monitor->vsock_store_watch, g_source_remove);
    hx_close(&monitor->vsock_store_fd);
}

static gboolean on_ready(int fd, GIOCondition condition, void *data)
{
    HxMonitor *monitor = data;
    monitor->vsock_ready_watch = 0;
    hx_close(&monitor->vsock_ready_fd);
    g_clear_handle_id(&monitor->vsock_timer, g_source_remove);
    return G_SOURCE_REMOVE;
}

static gboolean on_late(void *data)
{
    HxMonitor *monitor = data;
    monitor->vsock_timer = 0;
    hx_log_warning("helixvm-vsock did not get ready in %d s: killing it", HX_PART_START_MS / 1000);
    if (monitor->vsock.pid)
        kill(monitor->vsock.pid, SIGKILL);
    return G_SOURCE_REMOVE;
}

static gboolean begin(HxMonitor *monitor, GError **error);

static void vsock_ended(HxMonitor *monitor, const char *reason)
{
    g_autoptr(GError) error = NULL;
    leave(monitor);
    gboolean is_failure = g_get_monotonic_time() - monitor->vsock_started < FAILURE_US;
    monitor->vsock_failures = is_failure ? monitor->vsock_failures + 1 : 0;
    monitor->vsock.restarts++;
    if (monitor->domain && monitor->vsock_failures < FAILURES_MAX && begin(monitor, &error)) {
        hx_monitor_note(monitor,
                        "helixvm-vsock %s: it is started again, and the guest's connections to "
                        "the host are ended",
                        reason);
        monitor->vsock_ready_watch =
            g_unix_fd_add(monitor->vsock_ready_fd, G_IO_IN | G_IO_HUP, on_ready, monitor);
        monitor->vsock_timer = g_timeout_add(HX_PART_START_MS, on_late, monitor);
        return;
    }
    /* With it goes QEMU's connection, at which QEMU would wait for answers while it ends. */
    g_clear_pointer(&monitor->vsock_store, hx_fd_store_free);
    hx_monitor_fail(monitor,
                    g_error_new(HX_ERROR, HX_ERROR_HOST, "the vsock device, helixvm-vsock, %s%s%s",
                                reason, error ? ", and cannot be started again: " : "",
                                error ? error->message : ""));
}

/* Start it, with what an earlier one has stored. */
static gboolean begin(HxMonitor *monitor, GError **error)
{
    int store[2];
    g_autofree char *program = hx_part_path("helixvm-vsock", error);
    if (!program)
        return FALSE;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, store) < 0) {
        hx_set_error_errno(error, HX_ERROR_HOST, errno, "cannot talk to helixvm-vsock");
        return FALSE;
    }
    monitor->vsock_store_fd = store[0];
    hx_autofd int other_end = store[1];
    int r = hx_fd_store_hand_over(monitor->vsock_store, monitor->vsock_store_fd);
    if (r < 0) {
        hx_set_error_errno(error, HX_ERROR_HOST, -r, "cannot hand over what helixvm-vsock stored");
        return FALSE;
    }
    g_autofree char *cid = g_strdup_printf("--guest-cid=%u", monitor->cid);
    g_autofree char *host =
        g_strdup_printf("--host-socket=%s", hx_vm_runtime_path(monitor->vm, "vsock.sock"));
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    g_ptr_array_add(argv, program);
    g_ptr_array_add(argv, "--fd=3");
    g_ptr_array_add(argv, "--store-fd=4");
    g_ptr_array_add(argv, "--ready-fd=5");
    g_ptr_array_add(argv, cid);
    g_ptr_array_add(argv, host);
    const int fds[] = {monitor->vsock_listen_fd, other_end};
    monitor->vsock.log = HX_VSOCK_LOG;
    monitor->vsock.ended = vsock_ended;
    monitor->vsock_started = g_get_monotonic_time();
    monitor->vsock_ready_fd = hx_part_begin(&monitor->vsock, monitor, "helixvm-vsock", argv, fds,
                                            G_N_ELEMENTS(fds), error);
    monitor->vsock_store_watch =
        g_unix_fd_add(monitor->vsock_store_fd, G_IO_IN | G_IO_HUP, on_stored, monitor);
    return monitor->vsock_ready_fd >= 0;
}

static gboolean start_vhost_user(HxMonitor *monitor, GError **error)
{
    const char *path = hx_vm_runtime_path(monitor->vm, "vsock-device.sock");
    monitor->vsock_listen_fd = hx_unix_listen(path, SOCK_STREAM, 0600);
    if (monitor->vsock_listen_fd < 0 || chown(path, monitor->qemu_user, -1) < 0) {
        hx_set_error_errno(error, HX_ERROR_HOST,
                           monitor->vsock_listen_fd < 0 ? -monitor->vsock_listen_fd : errno,
                           "cannot listen on %s for QEMU", path);
        return FALSE;
    }
    monitor->vsock_store = hx_fd_store_new();
    if (!begin(monitor, error))
        return FALSE;
    g_autofree char *line = hx_part_await_line(&monitor->vsock, monitor->vsock_ready_fd, error);
    hx_close(&monitor->vsock_ready_fd);
    return line != NULL;
}

gboolean hx_monitor_start_vsock(HxMonitor *monitor, GError **error)
{
    hx_monitor_begin_phase(monitor, "vsock");
    if (monitor->vsock_kind == HX_VSOCK_KERNEL) {
        hx_monitor_end_phase(monitor, "the kernel's vhost-vsock");
        return TRUE;
    }
    if (!start_vhost_user(monitor, error))
        return FALSE;
    hx_monitor_end_phase(monitor, "vhost-user device helixvm-vsock, CID %u%s%s", monitor->cid,
                         monitor->vsock_reason ? ": " : "",
                         monitor->vsock_reason ? monitor->vsock_reason : "");
    return TRUE;
}

void hx_monitor_stop_vsock(HxMonitor *monitor)
{
    hx_part_stop(&monitor->vsock);
    leave(monitor);
    g_clear_pointer(&monitor->vsock_store, hx_fd_store_free);
    hx_close(&monitor->vsock_listen_fd);
}
