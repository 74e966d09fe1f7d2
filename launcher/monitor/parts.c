/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The processes beside QEMU: the guard, Xvfb, helixvm-vsock (vsock.c), and helixvm-encoder
 * (encoder.c).
 *
 * Theory of operation.  Each starts with the descriptors it needs and says READY=1 (Xvfb: its
 * display's number) on a pipe; until then the start waits.  Each gets SIGKILL when the monitor
 * dies, but for the guard, whose hour comes then (cli/verb-monitor.c).  Xvfb, which takes longest,
 * starts before libvirt is asked for anything, and is waited for after that.  One that ends by
 * itself calls its `ended`: the encoder is started again, without the VM noticing; without the
 * display the VM cannot go on. */
#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "launcher/base/error.h"
#include "launcher/base/fd.h"
#include "launcher/base/log.h"
#include "launcher/base/parts.h"
#include "launcher/base/process.h"
#include "launcher/base/unix-socket.h"
#include "launcher/domain/vm-domain.h"
#include "launcher/host/x-authority.h"
#include "launcher/host/x-display.h"
#include "launcher/monitor/internal.h"
#include "launcher/vm/log-file.h"

#define GUARD_RESTARTS_MAX 1000
#define GUARD_RESTART_MS 1000

/* --- the guard ----------------------------------------------------------------------------------
 */

static gboolean restart_guard(void *data)
{
    HxMonitor *monitor = data;
    g_autoptr(GError) error = NULL;
    monitor->guard_timer = 0;
    if (!hx_monitor_start_guard(monitor, &error))
        hx_monitor_note(monitor, "%s", error->message);
    return G_SOURCE_REMOVE;
}

static void guard_ended(HxMonitor *monitor, const char *reason)
{
    hx_monitor_note(monitor, "the monitor's guard %s", reason);
    if (monitor->guard.restarts++ >= GUARD_RESTARTS_MAX || monitor->guard_timer)
        return;
    /* At once, unless it was just started. */
    gboolean is_new = g_get_monotonic_time() - monitor->guard_started < G_TIME_SPAN_SECOND;
    monitor->guard_timer = g_timeout_add(is_new ? GUARD_RESTART_MS : 0, restart_guard, monitor);
}

gboolean hx_monitor_start_guard(HxMonitor *monitor, GError **error)
{
    /* The process as a whole, and not a pipe's end: of a process that is killed one descriptor
     * closes before another, and the guard would find the control socket open still. */
    hx_autofd int self = pidfd_open(getpid(), 0);
    if (self < 0) {
        hx_set_error_errno(error, HX_ERROR_HOST, errno, "cannot watch the monitor itself");
        return FALSE;
    }
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    g_ptr_array_add(argv, "helixvm");
    g_ptr_array_add(argv, "monitor");
    g_ptr_array_add(argv, "--guard-fd=3");
    g_ptr_array_add(argv, (void *)hx_vm_name(monitor->vm));
    monitor->guard_started = g_get_monotonic_time();
    monitor->guard.ended = guard_ended;
    monitor->guard.outlives_monitor = TRUE;
    monitor->guard.program = HX_PROCESS_SELF;
    return hx_part_spawn(&monitor->guard, monitor, "guard", argv, &self, 1, error);
}

/* --- Xvfb ---------------------------------------------------------------------------------------
 */

static void display_ended(HxMonitor *monitor, const char *reason)
{
    hx_monitor_fail(monitor, g_error_new(HX_ERROR, HX_ERROR_HOST,
                                         "the X server that QEMU draws with %s", reason));
}

static gboolean begin_xvfb(HxMonitor *monitor, GError **error)
{
    const char *directory = hx_vm_runtime_path(monitor->vm, "qemu");
    const char *authority = hx_vm_runtime_path(monitor->vm, "qemu/xauthority");
    if (g_mkdir_with_parents(directory, 0700) < 0) {
        hx_set_error_errno(error, HX_ERROR_HOST, errno, "cannot make the directory %s", directory);
        return FALSE;
    }
    monitor->x_authority_fd = hx_x_authority_create(authority, error);
    if (monitor->x_authority_fd < 0)
        return FALSE;
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    const char *const arguments[] = {
        "Xvfb",         "-displayfd", "3",   "-auth",    authority,    "-screen", "0",
        "1280x1024x24", "-nolisten",  "tcp", "-noreset", "+extension", "GLX",     "-nocursor"};
    for (size_t i = 0; i < G_N_ELEMENTS(arguments); i++)
        g_ptr_array_add(argv, (void *)arguments[i]);
    monitor->xvfb.ended = display_ended;
    monitor->xvfb_ready_fd = hx_part_begin(&monitor->xvfb, monitor, "Xvfb", argv, NULL, 0, error);
    return monitor->xvfb_ready_fd >= 0;
}

gboolean hx_monitor_begin_display(HxMonitor *monitor, GError **error)
{
    if (!hx_profile_boolean(monitor->profile, "gpu.enabled")) {
        monitor->display = HX_DISPLAY_NONE;
        return TRUE;
    }
    const char *wanted = hx_profile_string(monitor->profile, "gpu.display");
    if (!g_str_equal(wanted, "xvfb"))
        monitor->render_node = hx_render_node();
    if (monitor->render_node) {
        monitor->display = HX_DISPLAY_EGL_HEADLESS;
        return TRUE;
    }
    if (g_str_equal(wanted, "egl-headless")) {
        g_set_error_literal(error, HX_ERROR, HX_ERROR_HOST,
                            "the profile wants gpu.display=egl-headless, but the host has no DRM "
                            "render node that you may use: set gpu.display=auto");
        return FALSE;
    }
    monitor->display = HX_DISPLAY_XVFB;
    return begin_xvfb(monitor, error);
}

/* Wait for Xvfb, and let QEMU's user in. */
static gboolean finish_xvfb(HxMonitor *monitor, GError **error)
{
    g_autofree char *number = hx_part_await_line(&monitor->xvfb, monitor->xvfb_ready_fd, error);
    hx_close(&monitor->xvfb_ready_fd);
    if (!number)
        return FALSE;
    monitor->x_display = g_strdup_printf(":%s", number);
    /* By the file, not by its name: the directory is QEMU's user's by now, and so is what the name
     * leads to. */
    int r = fchown(monitor->x_authority_fd, monitor->qemu_user, -1) < 0 ? errno : 0;
    hx_close(&monitor->x_authority_fd);
    if (r) {
        hx_set_error_errno(error, HX_ERROR_HOST, r, "cannot let QEMU read %s",
                           hx_vm_runtime_path(monitor->vm, "qemu/xauthority"));
        return FALSE;
    }
    return g_file_set_contents(hx_vm_runtime_path(monitor->vm, "display"), number, -1, error);
}

gboolean hx_monitor_start_display(HxMonitor *monitor, GError **error)
{
    if (monitor->display == HX_DISPLAY_NONE)
        return TRUE;
    hx_monitor_begin_phase(monitor, "display");
    if (monitor->display == HX_DISPLAY_EGL_HEADLESS) {
        hx_monitor_end_phase(monitor, "%s", monitor->render_node);
        return TRUE;
    }
    if (!finish_xvfb(monitor, error))
        return FALSE;
    hx_monitor_end_phase(monitor, "Xvfb %s, software GL: the host has no DRM render node",
                         monitor->x_display);
    return TRUE;
}

/* --- all ----------------------------------------------------------------------------------------
 */

void hx_monitor_stop_parts(HxMonitor *monitor)
{
    hx_monitor_stop_encoder(monitor);
    hx_monitor_stop_vsock(monitor);
    hx_part_stop(&monitor->xvfb);
    hx_x_display_remove(monitor->vm);
    hx_part_stop(&monitor->guard);
    g_clear_handle_id(&monitor->guard_timer, g_source_remove);
    hx_close(&monitor->xvfb_ready_fd);
    hx_close(&monitor->x_authority_fd);
    g_clear_handle_id(&monitor->log_timer, g_source_remove);
    g_clear_pointer(&monitor->x_display, g_free);
    g_clear_pointer(&monitor->render_node, g_free);
}
