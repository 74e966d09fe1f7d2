/* SPDX-License-Identifier: GPL-2.0-or-later */
/* helixvm-encoder beside a VM: the sockets it serves, its settings, and its restarts, which the VM
 * does not notice: the sockets are kept here, and who connects meanwhile waits. */
#include <errno.h>
#include <glib-unix.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "launcher/base/error.h"
#include "launcher/base/fd.h"
#include "launcher/base/parts.h"
#include "launcher/base/port.h"
#include "launcher/base/unix-socket.h"
#include "launcher/domain/vm-domain.h"
#include "launcher/monitor/internal.h"

#define RESTART_MS 50
#define RESTART_DOUBLINGS 8
/* One that ends this often will not get better by another start. */
#define RESTARTS_MAX 1000

static int begin(HxMonitor *monitor, GError **error);
static gboolean restart(void *data);

/* Wait neither for an encoder to be ready nor to start one. */
static void forget_start(HxMonitor *monitor)
{
    g_clear_handle_id(&monitor->encoder_timer, g_source_remove);
    g_clear_handle_id(&monitor->encoder_watch, g_source_remove);
    hx_close(&monitor->encoder_ready_fd);
}

/* Start it again in a while: the longer, the more often it was in vain. */
static void schedule(HxMonitor *monitor)
{
    if (!monitor->encoder_timer)
        monitor->encoder_timer = g_timeout_add(
            RESTART_MS << MIN(monitor->encoder_failures++, RESTART_DOUBLINGS), restart, monitor);
}

/* The one that was started again is ready, or has ended: then encoder_ended is called, too. */
static gboolean on_line(int fd, GIOCondition condition, void *data)
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

static gboolean on_late(void *data)
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
static gboolean restart(void *data)
{
    HxMonitor *monitor = data;
    g_autoptr(GError) error = NULL;
    monitor->encoder_timer = 0;
    if (monitor->encoder.stopping || monitor->encoder.pid)
        return G_SOURCE_REMOVE;
    monitor->encoder_ready_fd = begin(monitor, &error);
    if (monitor->encoder_ready_fd >= 0) {
        monitor->encoder_watch =
            g_unix_fd_add(monitor->encoder_ready_fd, G_IO_IN | G_IO_HUP, on_line, monitor);
        monitor->encoder_timer = g_timeout_add(HX_PART_START_MS, on_late, monitor);
        return G_SOURCE_REMOVE;
    }
    hx_monitor_note(monitor, "%s", error->message);
    if (monitor->encoder.restarts++ < RESTARTS_MAX)
        schedule(monitor);
    return G_SOURCE_REMOVE;
}

static void encoder_ended(HxMonitor *monitor, const char *reason)
{
    forget_start(monitor);
    if (monitor->encoder.restarts >= RESTARTS_MAX) {
        hx_monitor_note(monitor, "helixvm-encoder %s, again: it is not restarted any more", reason);
        return;
    }
    monitor->encoder.restarts++;
    hx_monitor_note(monitor, "helixvm-encoder %s: restarting it", reason);
    schedule(monitor);
}

/* The options that keys of the profile are. */
static GPtrArray *options_of(const HxProfile *profile)
{
    static const struct {
        const char *option, *key;
        gint64 unit; /* of the key, in the option's */
    } settings[] = {
        {"bitrate", "encoder.bitrate", 1000},
        {"keyframe-interval", "encoder.keyframe-interval", 1},
        {"threads", "encoder.threads", 1},
        {"max-sessions", "encoder.max-sessions", 1},
    };
    GPtrArray *options = g_ptr_array_new_with_free_func(g_free);
    g_auto(GStrv) encoders = hx_profile_list(profile, "encoder.encoders");
    for (char **name = encoders; *name; name++)
        g_ptr_array_add(options, g_strdup_printf("--encoder=%s", *name));
    g_ptr_array_add(options,
                    g_strdup_printf("--preset=%s", hx_profile_string(profile, "encoder.preset")));
    for (size_t i = 0; i < G_N_ELEMENTS(settings); i++)
        g_ptr_array_add(options, g_strdup_printf("--%s=%" G_GINT64_FORMAT, settings[i].option,
                                                 hx_profile_integer(profile, settings[i].key) *
                                                     settings[i].unit));
    return options;
}

/* As hx_part_begin. */
static int begin(HxMonitor *monitor, GError **error)
{
    g_autofree char *program = hx_part_path("helixvm-encoder", error);
    if (!program)
        return -1;
    g_autofree char *module =
        g_strdup_printf("--module-socket=%s", hx_vm_runtime_path(monitor->vm, "qemu/export.sock"));
    g_autofree char *peer = g_strdup_printf("--peer-cid=%u", monitor->cid);
    g_autoptr(GPtrArray) options = options_of(monitor->profile);
    const struct {
        const char *option;
        int fd;
    } sockets[] = {
        {"listen-fd", monitor->encoder_listen_fd},
        {"stats-fd", monitor->encoder_stats_fd},
        {"listen-fd", monitor->encoder_tcp_fd},
        {"serial-fd", monitor->encoder_serial_fd},
    };
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    int fds[G_N_ELEMENTS(sockets)];
    guint n_fds = 0;
    g_ptr_array_add(argv, program);
    for (size_t i = 0; i < G_N_ELEMENTS(sockets); i++) {
        if (sockets[i].fd < 0)
            continue;
        g_ptr_array_add(options, g_strdup_printf("--%s=%u", sockets[i].option, 3 + n_fds));
        fds[n_fds++] = sockets[i].fd;
    }
    g_ptr_array_add(options, g_strdup_printf("--ready-fd=%u", 3 + n_fds));
    if (monitor->display != HX_DISPLAY_NONE)
        g_ptr_array_add(argv, module);
    if (monitor->vsock_kind == HX_VSOCK_KERNEL)
        g_ptr_array_add(argv, peer);
    for (guint i = 0; i < options->len; i++)
        g_ptr_array_add(argv, options->pdata[i]);
    monitor->encoder.log = HX_ENCODER_LOG;
    monitor->encoder.ended = encoder_ended;
    return hx_part_begin(&monitor->encoder, monitor, "helixvm-encoder", argv, fds, n_fds, error);
}

static int listen_unix(HxMonitor *monitor, const char *file)
{
    return hx_unix_listen(hx_vm_runtime_path(monitor->vm, file), SOCK_STREAM, 0600);
}

/* For QEMU, by which the guest's virtio-serial port comes. */
static int listen_serial(HxMonitor *monitor)
{
    hx_autofd int fd = listen_unix(monitor, HX_ENCODER_SERIAL_SOCKET);
    const char *path = hx_vm_runtime_path(monitor->vm, HX_ENCODER_SERIAL_SOCKET);
    if (fd >= 0 && chown(path, monitor->qemu_user, -1) < 0)
        return -errno;
    return hx_steal_fd(&fd);
}

gboolean hx_monitor_listen_encoder(HxMonitor *monitor, GError **error)
{
    const HxProfile *profile = monitor->profile;
    g_autofree char *vsock = g_strdup_printf("vsock.sock_%d", HX_ENCODER_PORT);
    if (monitor->vsock_kind == HX_VSOCK_VHOST_USER)
        monitor->encoder_listen_fd = listen_unix(monitor, vsock);
    monitor->encoder_stats_fd = listen_unix(monitor, "encoder.sock");
    int r = MIN(monitor->encoder_listen_fd, monitor->encoder_stats_fd);
    if (r >= 0 && hx_profile_boolean(profile, "encoder.serial"))
        r = monitor->encoder_serial_fd = listen_serial(monitor);
    if (r < 0) {
        hx_set_error_errno(error, HX_ERROR_HOST, -r, "cannot listen for the encoder's clients");
        return FALSE;
    }
    gint64 port = hx_profile_integer(profile, "encoder.tcp-port");
    if (hx_profile_boolean(profile, "encoder.tcp"))
        r = monitor->encoder_tcp_fd = hx_port_listen(port);
    if (r < 0)
        hx_set_error_errno(error, HX_ERROR_HOST, -r,
                           "cannot take the guest's frames at TCP port %" G_GINT64_FORMAT
                           " of 127.0.0.1; choose another encoder.tcp-port",
                           port);
    return r >= 0;
}

/* ", TCP port 15937, virtio-serial": the ways in beside vsock; for g_free. */
static char *describe_ways(const HxMonitor *monitor)
{
    g_autofree char *tcp =
        monitor->encoder_tcp_fd < 0
            ? g_strdup("")
            : g_strdup_printf(", TCP port %" G_GINT64_FORMAT,
                              hx_profile_integer(monitor->profile, "encoder.tcp-port"));
    return g_strconcat(tcp, monitor->encoder_serial_fd < 0 ? "" : ", virtio-serial", NULL);
}

gboolean hx_monitor_start_encoder(HxMonitor *monitor, GError **error)
{
    hx_monitor_begin_phase(monitor, "encoder");
    hx_autofd int ready_fd = begin(monitor, error);
    g_autofree char *line =
        ready_fd >= 0 ? hx_part_await_line(&monitor->encoder, ready_fd, error) : NULL;
    if (!line)
        return FALSE;
    g_autofree char *ways = describe_ways(monitor);
    g_auto(GStrv) encoders = hx_profile_list(monitor->profile, "encoder.encoders");
    g_autofree char *names = g_strjoinv(" or ", encoders);
    hx_monitor_end_phase(monitor, "helixvm-encoder, %s %s, vsock port %d%s", names,
                         hx_profile_string(monitor->profile, "encoder.preset"), HX_ENCODER_PORT,
                         ways);
    return TRUE;
}

void hx_monitor_stop_encoder(HxMonitor *monitor)
{
    forget_start(monitor);
    hx_part_stop(&monitor->encoder);
    hx_close(&monitor->encoder_listen_fd);
    hx_close(&monitor->encoder_stats_fd);
    hx_close(&monitor->encoder_tcp_fd);
    hx_close(&monitor->encoder_serial_fd);
}
