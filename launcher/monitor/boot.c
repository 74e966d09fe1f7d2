/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The wait for a guest that boots: until it reports READY. */
#include "launcher/base/deadline.h"
#include "launcher/base/error.h"
#include "launcher/domain/console-log.h"
#include "launcher/monitor/internal.h"

#define CONSOLE_LOOK_MS 1000

static gboolean is_ready_or_gone(HxMonitor *monitor)
{
    return monitor->guest_ready || monitor->domain_ended || monitor->domain_paused;
}

guint hx_monitor_boot_time_left(const HxMonitor *monitor)
{
    gint64 end = monitor->boot_begun + monitor->boot_timeout * G_TIME_SPAN_SECOND;
    return hx_time_left(end) / G_TIME_SPAN_MILLISECOND;
}

/* Its kernel has stopped for good, and said the same at the look before, @last: what was said to
 * the terminal may come through the port after the panic. */
static gboolean check_panic(HxMonitor *monitor, char **last, GError **error)
{
    const char *log = hx_vm_state_path(monitor->vm, "console.log");
    g_autofree char *panic = hx_console_panic(log);
    gboolean is_all = g_strcmp0(panic, *last) == 0 || hx_monitor_boot_time_left(monitor) == 0;
    g_free(*last);
    *last = g_strdup(panic);
    if (!panic || !is_all)
        return TRUE;
    g_set_error(error, HX_ERROR, HX_ERROR_GUEST, "the guest cannot boot: %s: see %s", panic, log);
    return FALSE;
}

static gboolean set_late(HxMonitor *monitor, GError **error)
{
    g_set_error(error, HX_ERROR, HX_ERROR_TIMEOUT,
                "the guest did not report READY within %u s (give it longer with "
                "--boot-timeout); its last word: %s: see %s",
                monitor->boot_timeout, monitor->guest_status ? monitor->guest_status : "none",
                hx_vm_state_path(monitor->vm, "console.log"));
    return FALSE;
}

/* Until the guest is ready or has stopped. */
static gboolean await_boot(HxMonitor *monitor, GError **error)
{
    g_autofree char *panic = NULL;
    hx_monitor_begin_phase(monitor, "boot");
    for (;;) {
        g_autoptr(GError) cause = NULL;
        guint left = MAX(hx_monitor_boot_time_left(monitor), 1);
        if (hx_monitor_wait(monitor, is_ready_or_gone, MIN(left, CONSOLE_LOOK_MS), &cause))
            return TRUE;
        if (!g_error_matches(cause, HX_ERROR, HX_ERROR_TIMEOUT)) {
            g_propagate_error(error, g_steal_pointer(&cause));
            return FALSE;
        }
        if (!check_panic(monitor, &panic, error))
            return FALSE;
        if (hx_monitor_boot_time_left(monitor) == 0)
            return set_late(monitor, error);
    }
}

gboolean hx_monitor_await_ready(HxMonitor *monitor, GError **error)
{
    while (await_boot(monitor, error)) {
        if (monitor->guest_ready) {
            hx_monitor_end_phase(monitor, "the guest reported READY");
            hx_monitor_remember_accelerators(monitor);
            return TRUE;
        }
        if (!hx_monitor_start_again(monitor, error))
            return FALSE;
    }
    return FALSE;
}
