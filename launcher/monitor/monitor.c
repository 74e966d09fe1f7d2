/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Theory of operation.  The main function below is the VM's life in order: parts, domain, guest,
 * supervision, end.  While it waits for anything, the main loop runs and answers status; events
 * only note what happened (the guest said READY, a part ended, somebody asks for the end), and the
 * wait looks at the notes.  Whatever was begun is ended in reverse order, however far it came. */
#include "launcher/monitor/monitor.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "launcher/base/error.h"
#include "launcher/base/fd.h"
#include "launcher/base/log.h"
#include "launcher/base/parts.h"
#include "launcher/disk/disk.h"
#include "launcher/domain/vm-domain.h"
#include "launcher/host/cid-registry.h"
#include "launcher/host/kernel-vsock.h"
#include "launcher/image/store.h"
#include "launcher/monitor/internal.h"
#include "launcher/profile/extra-disk.h"
#include "launcher/vm/last-run.h"
#include "launcher/vm/lock.h"
#include "launcher/vm/remove.h"
#include "launcher/vm/room.h"
#include "launcher/vm/run.h"
#include "launcher/vm/seed.h"

/* --- waiting ------------------------------------------------------------------------------------
 */

static gboolean on_time_out(void *data)
{
    *(gboolean *)data = TRUE;
    return G_SOURCE_REMOVE;
}

gboolean hx_monitor_iterate(gboolean (*condition)(void *data), void *data, guint timeout_ms)
{
    gboolean timed_out = FALSE;
    guint timer = timeout_ms ? g_timeout_add(timeout_ms, on_time_out, &timed_out) : 0;
    while (!condition(data) && !timed_out)
        g_main_context_iteration(NULL, TRUE);
    if (timer && !timed_out)
        g_source_remove(timer);
    return condition(data);
}

typedef struct {
    HxMonitor *monitor;
    gboolean (*condition)(HxMonitor *monitor);
} Wait;

static gboolean is_over(void *data)
{
    const Wait *wait = data;
    return wait->monitor->failure || wait->monitor->stop_requested || wait->monitor->libvirt_lost ||
           wait->condition(wait->monitor);
}

gboolean hx_monitor_wait(HxMonitor *monitor, gboolean (*condition)(HxMonitor *), guint timeout_ms,
                         GError **error)
{
    Wait wait = {monitor, condition};
    gint64 deadline = g_get_monotonic_time() + timeout_ms * G_TIME_SPAN_MILLISECOND;
    guint left = timeout_ms;
    while (hx_monitor_iterate(is_over, &wait, left) && monitor->libvirt_lost && !monitor->failure) {
        hx_monitor_reconnect(monitor);
        gint64 now = g_get_monotonic_time();
        if (timeout_ms)
            left = now < deadline ? (deadline - now) / G_TIME_SPAN_MILLISECOND + 1 : 1;
    }
    if (monitor->failure)
        g_propagate_error(error, g_error_copy(monitor->failure));
    else if (monitor->stop_requested)
        g_set_error_literal(error, HX_ERROR, HX_ERROR_CANCELLED, "stopped on request");
    else if (condition(monitor))
        return TRUE;
    else
        g_set_error_literal(error, HX_ERROR, HX_ERROR_TIMEOUT, "timed out");
    return FALSE;
}

static gboolean always(HxMonitor *monitor)
{
    return TRUE;
}

gboolean hx_monitor_goes_on(HxMonitor *monitor, GError **error)
{
    while (g_main_context_iteration(NULL, FALSE)) {
    }
    return hx_monitor_wait(monitor, always, 0, error);
}

typedef struct {
    void (*call)(void *data);
    void *data;
    gboolean done;
} ThreadCall;

static gboolean on_call_done(void *data)
{
    ((ThreadCall *)data)->done = TRUE;
    return G_SOURCE_REMOVE;
}

static void *run_call(void *data)
{
    ThreadCall *call = data;
    call->call(call->data);
    g_idle_add_full(G_PRIORITY_DEFAULT, on_call_done, call, NULL);
    return NULL;
}

void hx_monitor_call(void (*call)(void *data), void *data)
{
    ThreadCall thread_call = {call, data, FALSE};
    GThread *thread = g_thread_new("blocking-call", run_call, &thread_call);
    while (!thread_call.done)
        g_main_context_iteration(NULL, TRUE);
    g_thread_join(thread);
}

/* The VM is to be forced off: what is under way with libvirt must have an end. */
static void bound_libvirt(HxMonitor *monitor)
{
    if (monitor->connection)
        hx_libvirt_bound_silence(monitor->connection);
}

void hx_monitor_request_stop(HxMonitor *monitor, guint timeout)
{
    if (timeout == 0 || !monitor->ready)
        bound_libvirt(monitor);
    monitor->stop_requested = TRUE;
    monitor->stop_timeout = timeout;
    g_cancellable_cancel(monitor->stop);
    g_cancellable_cancel(monitor->ssh_try);
}

void hx_monitor_fail(HxMonitor *monitor, GError *error)
{
    g_cancellable_cancel(monitor->ssh_try);
    bound_libvirt(monitor);
    if (!monitor->failure)
        monitor->failure = error;
    else
        g_error_free(error);
}

/* --- preparation --------------------------------------------------------------------------------
 */

static gboolean load_uuid(HxMonitor *monitor, GError **error)
{
    const char *path = hx_vm_state_path(monitor->vm, "uuid");
    if (g_file_get_contents(path, &monitor->uuid, NULL, NULL)) {
        g_strstrip(monitor->uuid);
        if (g_uuid_string_is_valid(monitor->uuid))
            return TRUE;
        g_clear_pointer(&monitor->uuid, g_free);
    }
    monitor->uuid = g_uuid_string_random();
    return g_file_set_contents(path, monitor->uuid, -1, error);
}

/* The VM's first disk, which has the image's contents. */
static gboolean prepare_overlay(HxMonitor *monitor, HxDiskChange *ret_change, GError **error)
{
    g_autoptr(HxImage) image =
        hx_image_open(hx_profile_string(monitor->profile, "disk.image"), error);
    hx_autofd int hold = image ? hx_image_hold(image, error) : -1;
    if (hold < 0)
        return FALSE;
    gint64 size = hx_profile_integer(monitor->profile, "disk.size");
    if (!hx_disk_ensure(hx_vm_state_path(monitor->vm, "disk.qcow2"), hx_image_disk(image), size,
                        monitor->qemu_user, ret_change, monitor->cancel, error))
        return FALSE;
    if (*ret_change == HX_DISK_CREATED) {
        /* A new disk is a new guest: with a host key of its own, and nothing known of it. */
        g_unlink(hx_vm_known_hosts_path(monitor->vm));
        g_unlink(hx_vm_state_path(monitor->vm, "guest.json"));
    }
    return TRUE;
}

/* `up` has looked already; but it may be long ago that a restart's profile was written. */
static gboolean check_host(HxMonitor *monitor, GError **error)
{
    return hx_room_check(monitor->vm, monitor->profile, error);
}

static gboolean prepare_extra_disks(HxMonitor *monitor, GError **error)
{
    g_autoptr(GPtrArray) extra = hx_profile_extra_disks(monitor->profile);
    for (guint i = 0; i < extra->len; i++) {
        const HxExtraDisk *disk = extra->pdata[i];
        g_autofree char *file = hx_extra_disk_file(disk->name);
        HxDiskChange ignored;
        if (!hx_disk_ensure(hx_vm_state_path(monitor->vm, file), NULL, disk->gib,
                            monitor->qemu_user, &ignored, monitor->cancel, error))
            return FALSE;
    }
    return TRUE;
}

typedef struct {
    HxMonitor *monitor;
    HxDiskChange change;
    GError *error;
} DisksCall;

static void make_disks(void *data)
{
    DisksCall *call = data;
    if (prepare_overlay(call->monitor, &call->change, &call->error))
        prepare_extra_disks(call->monitor, &call->error);
}

static gboolean prepare_disks(HxMonitor *monitor, GError **error)
{
    static const char *const words[] = {
        [HX_DISK_KEPT] = "the overlay",
        [HX_DISK_CREATED] = "a new overlay",
        [HX_DISK_GROWN] = "the overlay, grown,",
    };
    hx_monitor_begin_phase(monitor, "disk");
    DisksCall call = {.monitor = monitor, .change = HX_DISK_KEPT};
    hx_monitor_call(make_disks, &call);
    if (call.error) {
        g_propagate_error(error, call.error);
        return FALSE;
    }
    g_autoptr(GPtrArray) extra = hx_profile_extra_disks(monitor->profile);
    g_autofree char *beside =
        extra->len ? g_strdup_printf(", and %u of its own", extra->len) : g_strdup("");
    hx_monitor_end_phase(monitor, "%s on image %s%s", words[call.change],
                         hx_profile_string(monitor->profile, "disk.image"), beside);
    return TRUE;
}

static gboolean prepare_seed(HxMonitor *monitor, GError **error)
{
    g_autoptr(HxImage) image =
        hx_image_open(hx_profile_string(monitor->profile, "disk.image"), error);
    if (!image)
        return FALSE;
    if (!hx_seed_is_wanted(monitor->profile, image))
        return TRUE;
    g_autofree char *files = hx_data_path("guest-provision/seed", error);
    if (!files)
        return FALSE;
    HxSeed seed = {
        .name = hx_vm_name(monitor->vm),
        .uuid = monitor->uuid,
        .public_key = monitor->public_key,
        .files = files,
        .notify_port = monitor->notify_port,
    };
    return hx_seed_write(&seed, monitor->profile, hx_vm_state_path(monitor->vm, "seed.iso"),
                         monitor->qemu_user, error);
}

/* QEMU's user sees neither the build directory of another user nor root's home: it gets a copy of
 * the module, and a directory of its own for the module's socket. */
static gboolean prepare_module(HxMonitor *monitor, GError **error)
{
    const char *directory = hx_vm_runtime_path(monitor->vm, "qemu");
    /* QEMU's own.  What it makes there gets the encoder's group, by which that reaches the module's
     * socket: where it is root it has given up what opens all doors. */
    if (g_mkdir_with_parents(directory, 0700) < 0 ||
        chown(directory, monitor->qemu_user, getegid()) < 0 || chmod(directory, 02710) < 0) {
        hx_set_error_errno(error, HX_ERROR_HOST, errno, "cannot make the directory %s", directory);
        return FALSE;
    }
    g_autofree char *part = hx_part_path("libhelixvm-export.so", error);
    g_autofree char *contents = NULL;
    gsize size = 0;
    return part && g_file_get_contents(part, &contents, &size, error) &&
           g_file_set_contents_full(hx_vm_state_path(monitor->vm, "libhelixvm-export.so"), contents,
                                    size, G_FILE_SET_CONTENTS_CONSISTENT, 0755, error);
}

/* Why the kernel's vsock cannot be this VM's, for g_free; NULL where it can, and the encoder's port
 * is then ours. */
static char *try_kernel_vsock(HxMonitor *monitor)
{
    g_autoptr(GError) error = NULL;
    int fd = hx_kernel_vsock_listen(HX_ENCODER_PORT, &error);
    if (fd < 0)
        return g_strdup(error->message);
    monitor->encoder_listen_fd = fd;
    return NULL;
}

static gboolean take_cid(HxMonitor *monitor, GError **error)
{
    monitor->cid_fd = hx_cid_take(&monitor->cid, error);
    return monitor->cid_fd >= 0;
}

static gboolean choose_vsock(HxMonitor *monitor, GError **error)
{
    const char *wanted = hx_profile_string(monitor->profile, "vsock.device");
    monitor->vsock_kind = HX_VSOCK_VHOST_USER;
    if (g_str_equal(wanted, "vhost-user"))
        return take_cid(monitor, error);
    monitor->vsock_reason = try_kernel_vsock(monitor);
    if (!monitor->vsock_reason) {
        monitor->vsock_kind = HX_VSOCK_KERNEL;
        monitor->cid = 0; /* libvirt's choice, read from the running domain */
        return TRUE;
    }
    if (!g_str_equal(wanted, "kernel"))
        return take_cid(monitor, error);
    g_set_error(error, HX_ERROR, HX_ERROR_HOST,
                "the profile wants vsock.device=kernel, but it cannot be had: %s: set "
                "vsock.device=auto",
                monitor->vsock_reason);
    return FALSE;
}

/* --- the VM's life ------------------------------------------------------------------------------
 */

static gboolean start(HxMonitor *monitor, GError **error)
{
    static gboolean (*const steps[])(HxMonitor *monitor, GError **error) = {
        check_host,
        load_uuid,
        hx_monitor_start_guard,
        hx_monitor_begin_display,
        hx_monitor_open_libvirt,
        prepare_disks,
        prepare_module,
        choose_vsock,
        hx_monitor_listen_encoder,
        hx_monitor_start_display,
        hx_monitor_start_vsock,
        hx_monitor_listen_notify,
        prepare_seed,
        hx_monitor_start_domain,
        hx_monitor_start_encoder,
        hx_monitor_await_ready,
        hx_monitor_await_ssh,
    };
    for (size_t i = 0; i < G_N_ELEMENTS(steps); i++)
        if (!hx_monitor_goes_on(monitor, error) || !steps[i](monitor, error))
            return FALSE;
    return TRUE;
}

static gboolean is_gone(HxMonitor *monitor)
{
    return monitor->domain_ended;
}

/* Until there is a reason for the end: TRUE where it is a good one. */
static gboolean supervise(HxMonitor *monitor, GError **error)
{
    g_autoptr(GError) cause = NULL;
    if (!hx_monitor_wait(monitor, is_gone, 0, &cause)) {
        if (!monitor->failure)
            return TRUE;
        g_propagate_error(error, g_steal_pointer(&cause));
        return FALSE;
    }
    if (!monitor->domain_crashed)
        return TRUE;
    g_set_error(error, HX_ERROR, HX_ERROR_FAILED, "%s", monitor->domain_end_reason);
    return FALSE;
}

static gboolean on_cancelled(GCancellable *cancel, void *data)
{
    HxMonitor *monitor = data;
    if (!monitor->stop_requested)
        hx_monitor_request_stop(monitor, 60);
    return G_SOURCE_REMOVE;
}

static gboolean live(HxMonitor *monitor, GError **error)
{
    GSource *source = g_cancellable_source_new(monitor->cancel);
    g_source_set_callback(source, G_SOURCE_FUNC(on_cancelled), monitor, NULL);
    g_source_attach(source, NULL);
    GError *failure = NULL;
    if (start(monitor, &failure)) {
        hx_monitor_say_ready(monitor);
        supervise(monitor, &failure);
    }
    g_autofree char *text = NULL;
    if (failure && !monitor->ready)
        monitor->stop_timeout = 0;
    /* A start that was stopped on request has not failed. */
    if (monitor->stop_requested && !monitor->failure)
        g_clear_error(&failure);
    hx_monitor_stop_domain(monitor, &text);
    hx_monitor_end_ssh(monitor);
    if (!failure && monitor->failure)
        failure = g_error_copy(monitor->failure);
    hx_monitor_stop_parts(monitor);
    hx_cid_release(monitor->cid, &monitor->cid_fd);
    hx_monitor_close_notify(monitor);
    hx_monitor_close_domain(monitor);
    hx_monitor_close_libvirt(monitor);
    const char *reason = failure ? failure->message : text;
    hx_last_run_keep(monitor->vm, failure != NULL, reason);
    hx_monitor_say_end(monitor, failure, reason);
    g_source_destroy(source);
    g_source_unref(source);
    if (!failure)
        return TRUE;
    g_propagate_error(error, failure);
    return FALSE;
}

/* So that its name is free, and list does not show what there is nothing of. */
static void remove_vm(HxVm *vm)
{
    g_autoptr(GError) error = NULL;
    if (!hx_vm_remove(vm, &error))
        hx_log_warning("what VM \"%s\" has left stays: %s: remove it with `helixvm delete %s`",
                       hx_vm_name(vm), error->message, hx_vm_name(vm));
}

gboolean hx_monitor_run(HxVm *vm, int start_fd, gboolean bound, gboolean is_new, int lock_fd,
                        guint boot_timeout, const char *public_key, GCancellable *cancel,
                        GError **error)
{
    g_autoptr(GCancellable) stop = g_cancellable_new();
    HxMonitor monitor = {
        .vm = vm,
        .public_key = public_key,
        .cancel = cancel,
        .stop = stop,
        .boot_timeout = boot_timeout,
        .begun = g_get_monotonic_time(),
        .lock_fd = lock_fd,
        .log_fd = STDERR_FILENO,
        .start_fd = start_fd,
        .bound = bound,
        .control_fd = -1,
        .encoder_listen_fd = -1,
        .encoder_stats_fd = -1,
        .encoder_tcp_fd = -1,
        .encoder_serial_fd = -1,
        .notify_fd = -1,
        .xvfb_ready_fd = -1,
        .encoder_ready_fd = -1,
        .vsock_listen_fd = -1,
        .vsock_store_fd = -1,
        .vsock_ready_fd = -1,
        .x_authority_fd = -1,
        .cid_fd = -1,
        .event_callback = -1,
        .reboot_callback = -1,
    };
    g_autoptr(HxProfile) profile = hx_profile_new();
    monitor.profile = profile;
    g_autoptr(GError) cause = NULL;
    gboolean begins =
        hx_profile_merge_file(profile, hx_vm_state_path(vm, "profile.conf"), &cause) &&
        hx_monitor_open_control(&monitor, &cause) && hx_run_begin(vm, &cause);
    gboolean good = begins && live(&monitor, error);
    if (!begins) {
        hx_last_run_keep(vm, TRUE, cause->message);
        if (start_fd >= 0)
            hx_monitor_tell_failure(start_fd, cause);
        g_propagate_error(error, g_steal_pointer(&cause));
    }
    hx_run_end(vm);
    if (is_new && !monitor.has_run)
        remove_vm(vm);
    hx_vm_unlock(vm, monitor.lock_fd);
    /* Last: who waits for the end waits for these connections to close, and may then start anew. */
    if (monitor.events)
        hx_monitor_close_control(&monitor);
    g_clear_error(&monitor.failure);
    g_free(monitor.uuid);
    g_free(monitor.vsock_reason);
    return good;
}
