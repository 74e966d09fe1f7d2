/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/vm-stop.h"

#include "cli/verb.h"
#include "cli/vm-status.h"
#include "launcher/base/error.h"
#include "launcher/base/fd.h"
#include "launcher/base/json.h"
#include "launcher/base/pause.h"
#include "launcher/monitor/reach.h"
#include "launcher/vm/lock.h"
#include "launcher/vm/run.h"

#define TIMEOUT_MAX 3600
#define EXIT_SECONDS 10
#define EXIT_POLL_MS 50

gboolean hx_vm_check_timeout(int timeout, GError **error)
{
    if (timeout >= 0 && timeout <= TIMEOUT_MAX)
        return TRUE;
    g_set_error(error, HX_ERROR, HX_ERROR_USAGE, "--timeout takes 0 to %d s", TIMEOUT_MAX);
    return FALSE;
}

/* How much longer than the guest's time a monitor may need to end the rest. */
#define MONITOR_MARGIN_S 90

/* Ask the monitor at @control and wait for the VM's end. */
static gboolean ask(HxControl *control, int timeout, HxProgress *progress, HxVmEnd *ret_end,
                    GError **error)
{
    g_autofree char *request = g_strdup_printf("{\"request\":\"down\",\"timeout\":%d}", timeout);
    g_autofree char *waiting =
        g_strdup_printf("asking the guest to power off (forced after %d s)", timeout);
    if (timeout > 0)
        hx_progress_note(progress, waiting);
    hx_control_set_timeout(control, (timeout + MONITOR_MARGIN_S) * 1000);
    return hx_control_send(control, request, error) &&
           hx_events_follow(control, HX_EVENTS_UNTIL_END, progress, hx_verb_cancellable(), NULL,
                            ret_end, error);
}

/* Its monitor cannot be asked. */
static gboolean stop_cut_off(HxVm *vm, int timeout, HxProgress *progress, HxVmEnd *ret_end,
                             GError **error)
{
    hx_progress_note(progress, "the VM's sockets were removed: telling its monitor by a signal");
    if (!hx_vm_end_cut_off(vm, timeout, &ret_end->forced, hx_verb_cancellable(), error))
        return FALSE;
    g_autoptr(JsonObject) status = hx_vm_status_brief(vm, hx_verb_cancellable(), NULL);
    JsonObject *last = hx_json_object(status, "last_run");
    ret_end->text = g_strdup(hx_json_string(last, "reason") ?: "");
    return TRUE;
}

/* Whether the VM is down, or is so soon: a monitor that has told of its end still has to exit. */
static gboolean is_down(HxVm *vm)
{
    gint64 deadline = g_get_monotonic_time() + EXIT_SECONDS * G_TIME_SPAN_SECOND;
    while (g_get_monotonic_time() < deadline) {
        int lock = -1;
        hx_autofd int fd = hx_vm_reach(vm, &lock, hx_verb_cancellable(), NULL);
        if (lock >= 0) {
            hx_vm_unlock(vm, lock);
            return TRUE;
        }
        if (fd < 0)
            return FALSE;
        hx_pause(EXIT_POLL_MS, hx_verb_cancellable());
    }
    return FALSE;
}

gboolean hx_vm_stop(HxVm *vm, int timeout, HxProgress *progress, HxVmEnd *ret_end, GError **error)
{
    *ret_end = (HxVmEnd){0};
    int lock = -1;
    if (hx_run_is_cut_off(vm))
        return stop_cut_off(vm, timeout, progress, ret_end, error);
    int fd =
        hx_vm_check_known(vm, error) ? hx_vm_reach(vm, &lock, hx_verb_cancellable(), error) : -1;
    if (lock >= 0) {
        hx_vm_unlock(vm, lock);
        ret_end->was_down = TRUE;
        return TRUE;
    }
    if (fd < 0)
        return FALSE;
    g_autoptr(HxControl) control = hx_control_new(fd);
    g_autoptr(GError) cause = NULL;
    if (ask(control, timeout, progress, ret_end, &cause))
        return TRUE;
    /* The VM failed meanwhile, which is down enough. */
    if (!g_error_matches(cause, HX_ERROR, HX_ERROR_CANCELLED) &&
        !g_error_matches(cause, HX_ERROR, HX_ERROR_TIMEOUT) && is_down(vm)) {
        ret_end->forced = TRUE;
        ret_end->text = g_strdup(cause->message);
        return TRUE;
    }
    g_propagate_error(error, g_steal_pointer(&cause));
    return FALSE;
}
