/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The processes beside QEMU: the guard, Xvfb, helixvm-encoder, and helixvm-vsock (vsock.c).
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

#define ENCODER_RESTART_MS 200
#define RESTART_DOUBLINGS 6
/* An encoder that ends this often will not get better by another start. */
#define ENCODER_RESTARTS_MAX 1000
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
    int pipe_fds[2];
    if (!g_unix_open_pipe(pipe_fds, FD_CLOEXEC, error))
        return FALSE;
    hx_autofd int read_end = pipe_fds[0];
    hx_close(&monitor->guard_fd);
    monitor->guard_fd = pipe_fds[1];
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    g_ptr_array_add(argv, "helixvm");
    g_ptr_array_add(argv, "monitor");
    g_ptr_array_add(argv, "--guard-fd=3");
    g_ptr_array_add(argv, (void *)hx_vm_name(monitor->vm));
    monitor->guard_started = g_get_monotonic_time();
    monitor->guard.ended = guard_ended;
    monitor->guard.outlives_monitor = TRUE;
    monitor->guard.program = HX_PROCESS_SELF;
    return hx_part_spawn(&monitor->guard, monitor, "guard", argv, &read_end, 1, error);
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

/* --- helixvm-encoder ----------------------------------------------------------------------------
 */

static int begin_encoder(HxMonitor *monitor, GError **error);
static gboolean restart_encoder(void *data);

/* Wait neither for an encoder to be ready nor to start one. */
static void forget_encoder_start(HxMonitor *monitor)
{
    g_clear_handle_id(&monitor->encoder_timer, g_source_remove);
    g_clear_handle_id(&monitor->encoder_watch, g_source_remove);
    hx_close(&monitor->encoder_ready_fd);
}

/* Start it again in a while: the longer, the more often it was in vain. */
static void schedule_encoder(HxMonitor *monitor)
{
    if (!monitor->encoder_timer)
        monitor->encoder_timer =
            g_timeout_add(ENCODER_RESTART_MS << MIN(monitor->encoder_failures++, RESTART_DOUBLINGS),
                          restart_encoder, monitor);
}

/* The one that was started again is ready, or has ended: then encoder_ended is called, too. */
static gboolean on_encoder_line(int fd, GIOCondition condition, void *data)
{
    HxMonitor *monitor = data;
    char buffer[64];
    ssize_t n = read(fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR)
        return G_SOURCE_CONTINUE;
    if (n > 0) {
        monitor->encoder_failures = 0;
        g_clear_handle_id(&monitor->encoder_timer, g_source_remove);
    }
    monitor->encoder_watch = 0;
    hx_close(&monitor->encoder_ready_fd);
    return G_SOURCE_REMOVE;
}

static gboolean on_encoder_late(void *data)
{
    HxMonitor *monitor = data;
    monitor->encoder_timer = 0;
    hx_monitor_note(monitor, "helixvm-encoder did not get ready in %d s: killing it",
                    HX_PART_START_MS / 1000);
    if (monitor->encoder.pid)
        kill(monitor->encoder.pid, SIGKILL);
    return G_SOURCE_REMOVE;
}

/* By events: whoever waits for the VM's end must not wait for an encoder's start. */
static gboolean restart_encoder(void *data)
{
    HxMonitor *monitor = data;
    g_autoptr(GError) error = NULL;
    monitor->encoder_timer = 0;
    if (monitor->encoder.stopping || monitor->encoder.pid)
        return G_SOURCE_REMOVE;
    monitor->encoder_ready_fd = begin_encoder(monitor, &error);
    if (monitor->encoder_ready_fd >= 0) {
        monitor->encoder_watch =
            g_unix_fd_add(monitor->encoder_ready_fd, G_IO_IN | G_IO_HUP, on_encoder_line, monitor);
        monitor->encoder_timer = g_timeout_add(HX_PART_START_MS, on_encoder_late, monitor);
        return G_SOURCE_REMOVE;
    }
    hx_monitor_note(monitor, "%s", error->message);
    if (monitor->encoder.restarts++ < ENCODER_RESTARTS_MAX)
        schedule_encoder(monitor);
    return G_SOURCE_REMOVE;
}

static void encoder_ended(HxMonitor *monitor, const char *reason)
{
    forget_encoder_start(monitor);
    if (monitor->encoder.restarts >= ENCODER_RESTARTS_MAX) {
        hx_monitor_note(monitor, "helixvm-encoder %s, again: it is not restarted any more", reason);
        return;
    }
    monitor->encoder.restarts++;
    hx_monitor_note(monitor, "helixvm-encoder %s: restarting it", reason);
    schedule_encoder(monitor);
}

/* As hx_part_begin. */
static int begin_encoder(HxMonitor *monitor, GError **error)
{
    g_autofree char *program = hx_part_path("helixvm-encoder", error);
    if (!program)
        return -1;
    const HxProfile *profile = monitor->profile;
    g_autofree char *preset =
        g_strdup_printf("--preset=%s", hx_profile_string(profile, "encoder.preset"));
    g_autofree char *bitrate = g_strdup_printf(
        "--bitrate=%" G_GINT64_FORMAT, hx_profile_integer(profile, "encoder.bitrate") * 1000);
    g_autofree char *interval =
        g_strdup_printf("--keyframe-interval=%" G_GINT64_FORMAT,
                        hx_profile_integer(profile, "encoder.keyframe-interval"));
    g_autofree char *module =
        g_strdup_printf("--module-socket=%s", hx_vm_runtime_path(monitor->vm, "qemu/export.sock"));
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    g_ptr_array_add(argv, program);
    g_ptr_array_add(argv, "--listen-fd=3");
    g_ptr_array_add(argv, "--stats-fd=4");
    g_ptr_array_add(argv, "--ready-fd=5");
    if (monitor->display != HX_DISPLAY_NONE)
        g_ptr_array_add(argv, module);
    g_autofree char *peer = g_strdup_printf("--peer-cid=%u", monitor->cid);
    if (monitor->vsock_kind == HX_VSOCK_KERNEL)
        g_ptr_array_add(argv, peer);
    g_ptr_array_add(argv, preset);
    g_ptr_array_add(argv, bitrate);
    g_ptr_array_add(argv, interval);
    const int fds[] = {monitor->encoder_listen_fd, monitor->encoder_stats_fd};
    monitor->encoder.log = HX_ENCODER_LOG;
    monitor->encoder.ended = encoder_ended;
    return hx_part_begin(&monitor->encoder, monitor, "helixvm-encoder", argv, fds,
                         G_N_ELEMENTS(fds), error);
}

gboolean hx_monitor_start_encoder(HxMonitor *monitor, GError **error)
{
    hx_monitor_begin_phase(monitor, "encoder");
    if (monitor->vsock_kind == HX_VSOCK_VHOST_USER) {
        g_autofree char *file = g_strdup_printf("vsock.sock_%d", HX_ENCODER_PORT);
        monitor->encoder_listen_fd =
            hx_unix_listen(hx_vm_runtime_path(monitor->vm, file), SOCK_STREAM, 0600);
    }
    monitor->encoder_stats_fd =
        hx_unix_listen(hx_vm_runtime_path(monitor->vm, "encoder.sock"), SOCK_STREAM, 0600);
    int r = MIN(monitor->encoder_listen_fd, monitor->encoder_stats_fd);
    if (r < 0) {
        hx_set_error_errno(error, HX_ERROR_HOST, -r, "cannot listen for the encoder's clients");
        return FALSE;
    }
    hx_autofd int ready_fd = begin_encoder(monitor, error);
    g_autofree char *line =
        ready_fd >= 0 ? hx_part_await_line(&monitor->encoder, ready_fd, error) : NULL;
    if (!line)
        return FALSE;
    hx_monitor_end_phase(monitor, "helixvm-encoder, x264 %s, vsock port %d",
                         hx_profile_string(monitor->profile, "encoder.preset"), HX_ENCODER_PORT);
    return TRUE;
}

/* --- all ----------------------------------------------------------------------------------------
 */

void hx_monitor_stop_parts(HxMonitor *monitor)
{
    forget_encoder_start(monitor);
    hx_part_stop(&monitor->encoder);
    hx_monitor_stop_vsock(monitor);
    hx_part_stop(&monitor->xvfb);
    hx_x_display_remove(monitor->vm);
    hx_part_stop(&monitor->guard);
    g_clear_handle_id(&monitor->guard_timer, g_source_remove);
    hx_close(&monitor->guard_fd);
    hx_close(&monitor->xvfb_ready_fd);
    hx_close(&monitor->x_authority_fd);
    g_clear_handle_id(&monitor->log_timer, g_source_remove);
    hx_close(&monitor->encoder_listen_fd);
    hx_close(&monitor->encoder_stats_fd);
    g_clear_pointer(&monitor->x_display, g_free);
    g_clear_pointer(&monitor->render_node, g_free);
}
