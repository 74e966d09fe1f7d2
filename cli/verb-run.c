/* SPDX-License-Identifier: GPL-2.0-or-later */
/* helixvm run: be a VM's foreground process.
 *
 * Theory of operation.  The monitor is a child that is bound to this process by the socket its
 * events come on: where this process ends, however it does, the monitor sees the socket close,
 * forces the VM off and cleans up.  A signal is passed on as a request to power off, and the exit
 * status tells what became of it. */
#include <stdio.h>
#include <unistd.h>

#include "cli/service-notify.h"
#include "cli/verb.h"
#include "cli/vm-result.h"
#include "cli/vm-start.h"
#include "cli/vm-stop.h"
#include "launcher/base/error.h"
#include "launcher/monitor/reach.h"

/* What a service manager is asked to add to its own patience, beside the guest's timeout. */
#define STOP_MARGIN_S 15

typedef struct {
    HxVm *vm;
    HxControl *events;
    HxProgress *progress;
    HxService *service;
    int timeout; /* s */
} HxRun;

static void tell_service(const char *text, void *data)
{
    hx_service_tell(data, "STATUS=%s", text);
}

/* Ask the monitor to power the VM off.  The connection is to be kept until it has. */
static HxControl *request_down(HxRun *run, int timeout)
{
    g_autofree char *request = g_strdup_printf("{\"request\":\"down\",\"timeout\":%d}", timeout);
    int fd = hx_vm_connect_monitor(run->vm, NULL);
    if (fd < 0)
        return NULL; /* it is about to end, and its last event says how */
    HxControl *control = hx_control_new(fd);
    hx_control_send(control, request, NULL);
    return control;
}

static gboolean follow_end(HxRun *run, GCancellable *cancel, HxVmEnd *ret_end, GError **error)
{
    return hx_events_follow(run->events, HX_EVENTS_UNTIL_END, run->progress, cancel, NULL, ret_end,
                            error);
}

/* The second signal: the VM goes at once. */
static gboolean force_off(HxRun *run, HxVmEnd *ret_end, GError **error)
{
    hx_progress_note(run->progress, "forcing the VM off");
    g_autoptr(HxControl) request = request_down(run, 0);
    if (!follow_end(run, NULL, ret_end, error))
        return FALSE;
    g_set_error(error, HX_ERROR, HX_ERROR_CANCELLED, "VM \"%s\" was forced off",
                hx_vm_name(run->vm));
    return FALSE;
}

/* The first signal: the guest powers off. */
static gboolean power_off(HxRun *run, HxVmEnd *ret_end, GError **error)
{
    g_autofree char *text = g_strdup_printf(
        "asking the guest to power off (forced after %d s, or by another Ctrl-C)", run->timeout);
    hx_service_tell(run->service, "STOPPING=1\nEXTEND_TIMEOUT_USEC=%" G_GINT64_FORMAT,
                    (run->timeout + STOP_MARGIN_S) * G_TIME_SPAN_SECOND);
    hx_progress_note(run->progress, text);
    g_autoptr(HxControl) request = request_down(run, run->timeout);
    g_autoptr(GError) cause = NULL;
    if (!follow_end(run, hx_verb_impatience(), ret_end, &cause)) {
        if (g_error_matches(cause, HX_ERROR, HX_ERROR_CANCELLED))
            return force_off(run, ret_end, error);
        g_propagate_error(error, g_steal_pointer(&cause));
        return FALSE;
    }
    if (!ret_end->forced || run->timeout == 0) /* as it was told */
        return TRUE;
    g_set_error(error, HX_ERROR, HX_ERROR_TIMEOUT, "VM \"%s\" is down: %s", hx_vm_name(run->vm),
                ret_end->text);
    return FALSE;
}

static gboolean start(HxRun *run, GError **error)
{
    g_autoptr(GError) cause = NULL;
    HxVmStart started = {0};
    if (hx_events_follow(run->events, HX_EVENTS_UNTIL_READY, run->progress, hx_verb_cancellable(),
                         &started.seconds, NULL, &cause)) {
        hx_service_tell(run->service, "READY=1\nSTATUS=the guest is ready");
        hx_vm_print_start(run->vm, &started, NULL, FALSE);
        fflush(stdout);
        return TRUE;
    }
    if (g_error_matches(cause, HX_ERROR, HX_ERROR_CANCELLED)) {
        g_auto(HxVmEnd) end = {0};
        hx_service_tell(run->service, "STOPPING=1");
        hx_progress_note(run->progress, "interrupted: stopping the VM");
        g_autoptr(HxControl) request = request_down(run, 0);
        if (request)
            follow_end(run, hx_verb_impatience(), &end, NULL);
    }
    g_propagate_error(error, g_steal_pointer(&cause));
    return FALSE;
}

/* Until the VM has ended, by itself or by a signal to us. */
static gboolean live(HxRun *run, HxVmEnd *ret_end, GError **error)
{
    g_autoptr(GError) cause = NULL;
    hx_progress_stamp(run->progress);
    if (isatty(STDIN_FILENO))
        hx_progress_note(run->progress, "running; Ctrl-C powers the guest off");
    if (follow_end(run, hx_verb_cancellable(), ret_end, &cause))
        return TRUE;
    if (g_error_matches(cause, HX_ERROR, HX_ERROR_CANCELLED))
        return power_off(run, ret_end, error);
    g_propagate_error(error, g_steal_pointer(&cause));
    return FALSE;
}

gboolean hx_verb_run(int argc, char **argv, GError **error)
{
    g_auto(HxProfileOptions) options = {0};
    int timeout = HX_STOP_TIMEOUT;
    int boot_timeout = HX_BOOT_TIMEOUT;
    gboolean quiet = FALSE;
    const GOptionEntry entries[] = {
        {"timeout", 't', 0, G_OPTION_ARG_INT, &timeout,
         "at a signal, how long the guest may take to power off (default 60)", "SECONDS"},
        HX_PROFILE_OPTION_ENTRIES(options),
        HX_BOOT_TIMEOUT_ENTRY(boot_timeout),
        {"quiet", 'q', 0, G_OPTION_ARG_NONE, &quiet, "show no phases and no events", NULL},
        G_OPTION_ENTRY_NULL,
    };
    g_autoptr(HxVm) vm = hx_verb_parse_vm(entries, &argc, &argv, error);
    if (!vm || !hx_vm_check_timeout(timeout, error) ||
        !hx_vm_check_boot_timeout(boot_timeout, error))
        return FALSE;
    g_autoptr(HxService) service = hx_service_new();
    int lock =
        hx_vm_own(vm, " already, and run wants to start it itself", hx_verb_cancellable(), error);
    g_autoptr(HxControl) events =
        lock >= 0 ? hx_vm_start_monitor(vm, lock, TRUE, &options, boot_timeout, error) : NULL;
    if (!events)
        return FALSE;
    g_autoptr(HxProgress) progress = hx_progress_new(quiet);
    hx_progress_listen(progress, tell_service, service);
    HxRun run = {vm, events, progress, service, timeout};
    g_auto(HxVmEnd) end = {0};
    hx_verb_impatience(); /* from here on a second signal is ours */
    if (!start(&run, error) || !live(&run, &end, error))
        return FALSE;
    hx_vm_print_end(vm, &end, FALSE);
    return TRUE;
}
