/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The monitor is a process of its own, which outlives this one once the VM is ready.  Until then
 * the two are joined by a socket: where this process ends, the monitor gives the start up. */
#include "cli/vm-start.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/monitor-events.h"
#include "cli/verb.h"
#include "launcher/base/error.h"
#include "launcher/base/fd.h"
#include "launcher/base/process.h"
#include "launcher/domain/vm-domain.h"
#include "launcher/image/image.h"
#include "launcher/monitor/reach.h"
#include "launcher/vm/lock.h"
#include "launcher/vm/log-file.h"
#include "launcher/vm/remove.h"
#include "launcher/vm/room.h"
#include "launcher/vm/snapshot.h"

#define BOOT_TIMEOUT_MAX 86400
#define STATUS_TIMEOUT_MS 5000
/* An end at once takes a moment, unless libvirtd is slow. */
#define GIVE_UP_TIMEOUT_MS 60000

static gboolean save_profile(const HxProfileOptions *options, HxVm *vm, GError **error)
{
    g_autoptr(HxProfile) profile = hx_profile_options_load(options, vm, error);
    /* Said here, where nothing has been made yet. */
    if (!profile || !hx_vm_architecture(profile, error) || !hx_room_check(vm, profile, error))
        return FALSE;
    g_autofree char *data = hx_profile_to_data(profile);
    return g_file_set_contents(hx_vm_state_path(vm, "profile.conf"), data, -1, error);
}

/* Start the monitor, which takes over the VM's lock; its events come on the descriptor returned. */
static int spawn_monitor(HxVm *vm, int lock, gboolean bound, gboolean is_new, int boot_timeout,
                         GError **error)
{
    const char *log_path = hx_vm_state_path(vm, "monitor.log");
    hx_autofd int log = hx_log_file_open(log_path, TRUE, error);
    int pair[2];
    if (log < 0)
        return -1;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        hx_set_error_errno(error, HX_ERROR_HOST, errno, "cannot start the VM's monitor");
        return -1;
    }
    hx_autofd int ours = pair[0];
    hx_autofd int theirs = pair[1];
    g_autofree char *boot = g_strdup_printf("--boot-timeout=%d", boot_timeout);
    const char *argv[] = {"helixvm",      "monitor", "--start-fd=3", "--lock-fd=4", boot,
                          hx_vm_name(vm), NULL,      NULL,           NULL};
    size_t n = 6;
    if (bound)
        argv[n++] = "--bound";
    if (is_new)
        argv[n++] = "--new";
    const int fds[] = {theirs, lock};
    HxProcess process = {
        .argv = argv,
        .program = HX_PROCESS_SELF,
        .directory = "/",
        .stdin_fd = -1,
        .stdout_fd = -1,
        .stderr_fd = log,
        .fds = fds,
        .n_fds = G_N_ELEMENTS(fds),
        .own_session = TRUE,
        /* Also a bound one: it has to clean up after whoever it is bound to was killed. */
        .outlives_parent = TRUE,
    };
    return hx_process_spawn(&process, error) > 0 ? hx_steal_fd(&ours) : -1;
}

gboolean hx_vm_check_boot_timeout(int timeout, GError **error)
{
    if (timeout >= 1 && timeout <= BOOT_TIMEOUT_MAX)
        return TRUE;
    g_set_error(error, HX_ERROR, HX_ERROR_USAGE, "--boot-timeout takes 1 to %d s",
                BOOT_TIMEOUT_MAX);
    return FALSE;
}

HxControl *hx_vm_start_monitor(HxVm *vm, int lock, gboolean bound, const HxProfileOptions *options,
                               int boot_timeout, GError **error)
{
    hx_vm_sweep_removed(vm);
    gboolean is_new = !hx_vm_check_known(vm, NULL);
    int fd = hx_snapshot_recover(vm, error) && save_profile(options, vm, error)
                 ? spawn_monitor(vm, lock, bound, is_new, boot_timeout, error)
                 : -1;
    if (fd < 0) {
        if (is_new && hx_vm_check_known(vm, NULL))
            hx_vm_remove(vm, NULL);
        hx_vm_unlock(vm, lock);
        return NULL;
    }
    close(lock); /* the monitor's copy holds it */
    return hx_control_new(fd);
}

/* The user has had enough: end what was begun, and return when it has ended. */
static void give_up(HxVm *vm, HxControl *events, HxProgress *progress)
{
    hx_progress_note(progress, "interrupted: stopping the VM");
    int fd = hx_vm_connect_monitor(vm, NULL);
    if (fd < 0)
        return; /* not yet listening: it sees this process end */
    g_autoptr(HxControl) control = hx_control_new(fd);
    hx_control_set_timeout(control, GIVE_UP_TIMEOUT_MS);
    if (hx_control_send(control, "{\"request\":\"down\",\"timeout\":0}", NULL))
        hx_events_follow(control, HX_EVENTS_UNTIL_END, progress, NULL, NULL, NULL, NULL);
}

static gboolean follow_start(HxVm *vm, HxControl *control, HxProgress *progress, gboolean is_ours,
                             double *ret_seconds, GError **error)
{
    g_autoptr(GError) cause = NULL;
    if (hx_events_follow(control, HX_EVENTS_UNTIL_READY, progress, hx_verb_cancellable(),
                         ret_seconds, NULL, &cause))
        return TRUE;
    if (is_ours && g_error_matches(cause, HX_ERROR, HX_ERROR_CANCELLED))
        give_up(vm, control, progress);
    g_propagate_error(error, g_steal_pointer(&cause));
    return FALSE;
}

/* Wait until the monitor that @control speaks to has let go of the VM.  FALSE where interrupted. */
static gboolean await_end(HxControl *control, GError **error)
{
    g_autoptr(GError) cause = NULL;
    /* What comes begins with how it started. */
    g_autoptr(HxProgress) silent = hx_progress_new(TRUE);
    if (hx_control_send(control, "{\"request\":\"watch\"}", NULL) &&
        !hx_events_follow(control, HX_EVENTS_UNTIL_END, silent, hx_verb_cancellable(), NULL, NULL,
                          &cause) &&
        g_error_matches(cause, HX_ERROR, HX_ERROR_CANCELLED)) {
        g_propagate_error(error, g_steal_pointer(&cause));
        return FALSE;
    }
    return TRUE; /* however it ended */
}

/* The guest is up, or reboots: wait until it is ready again, or paused.  *ret_ended: the VM ends.
 */
static gboolean await_guest(HxVm *vm, HxControl *events, int boot_timeout, HxProgress *progress,
                            gboolean *ret_ended, GError **error)
{
    g_autoptr(GError) cause = NULL;
    hx_control_set_timeout(events, boot_timeout * 1000);
    if (!hx_control_send(events, "{\"request\":\"watch\",\"from_now\":true}", NULL)) {
        *ret_ended = TRUE;
        return TRUE;
    }
    for (;;) {
        g_autoptr(JsonObject) event = hx_control_next(events, hx_verb_cancellable(), &cause);
        const char *state =
            event ? json_object_get_string_member_with_default(event, "state", "") : "";
        if (g_error_matches(cause, HX_ERROR, HX_ERROR_CANCELLED)) {
            g_propagate_error(error, g_steal_pointer(&cause));
            return FALSE;
        }
        if (g_error_matches(cause, HX_ERROR, HX_ERROR_TIMEOUT)) {
            g_set_error(
                error, HX_ERROR, HX_ERROR_TIMEOUT,
                "the guest of VM \"%s\" reboots, and did not report READY within %d s (give "
                "it longer with --boot-timeout): see `helixvm logs %s console`",
                hx_vm_name(vm), boot_timeout, hx_vm_name(vm));
            return FALSE;
        }
        *ret_ended = !event || g_str_equal(state, "stopping") || g_str_equal(state, "failing");
        if (*ret_ended || g_str_equal(state, "running") || g_str_equal(state, "paused"))
            return TRUE;
        if (g_str_equal(state, "rebooting"))
            hx_progress_note(progress, "the guest reboots: waiting until it is ready");
    }
}

/* A monitor runs: the VM is up, or another `up` is at it, or it is about to end.  In the last case
 * *ret_ended is set when it has. */
static gboolean join_monitor(HxVm *vm, int fd, const HxProfileOptions *options, int boot_timeout,
                             HxProgress *progress, HxVmStart *ret_start, gboolean *ret_ended,
                             GError **error)
{
    g_autoptr(HxControl) control = hx_control_new(fd);
    g_autoptr(JsonObject) status = NULL;
    g_autoptr(GError) cause = NULL;
    hx_control_set_timeout(control, STATUS_TIMEOUT_MS);
    if (hx_control_send(control, "{\"request\":\"status\"}", &cause))
        status = hx_control_next(control, hx_verb_cancellable(), &cause);
    if (g_error_matches(cause, HX_ERROR, HX_ERROR_CANCELLED) ||
        g_error_matches(cause, HX_ERROR, HX_ERROR_TIMEOUT)) {
        g_propagate_error(error, g_steal_pointer(&cause));
        return FALSE;
    }
    fd = status ? hx_vm_connect_monitor(vm, NULL) : -1;
    if (fd < 0) {
        *ret_ended = TRUE; /* at this very moment */
        return TRUE;
    }
    g_autoptr(HxControl) events = hx_control_new(fd);
    const char *state = json_object_get_string_member_with_default(status, "state", "");
    gboolean is_up = g_str_equal(state, "running") || g_str_equal(state, "paused") ||
                     g_str_equal(state, "rebooting");
    if (!is_up && !g_str_equal(state, "starting")) {
        hx_progress_note(progress, "the VM is about to end: waiting for that");
        *ret_ended = TRUE;
        return await_end(events, error);
    }
    if (options->profile || options->settings)
        hx_progress_note(progress, "the VM runs with what it was started with: --profile and --set "
                                   "count at its next start");
    ret_start->was_up = is_up;
    if (is_up)
        return await_guest(vm, events, boot_timeout, progress, ret_ended, error);
    return hx_control_send(events, "{\"request\":\"watch\"}", error) &&
           follow_start(vm, events, progress, FALSE, &ret_start->seconds, error);
}

gboolean hx_vm_start(HxVm *vm, const HxProfileOptions *options, int boot_timeout,
                     HxProgress *progress, HxVmStart *ret_start, GError **error)
{
    *ret_start = (HxVmStart){0};
    int lock = -1;
    for (;;) {
        gboolean ended = FALSE;
        int fd = hx_vm_reach(vm, &lock, hx_verb_cancellable(), error);
        if (fd < 0)
            break;
        if (!join_monitor(vm, fd, options, boot_timeout, progress, ret_start, &ended, error))
            return FALSE;
        if (!ended)
            return TRUE;
    }
    if (lock < 0)
        return FALSE;
    g_autoptr(HxControl) events =
        hx_vm_start_monitor(vm, lock, FALSE, options, boot_timeout, error);
    return events && follow_start(vm, events, progress, TRUE, &ret_start->seconds, error);
}
