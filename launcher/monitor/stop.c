/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The domain's end: the guest powers off, or is forced off.
 *
 * Theory of operation.  libvirt is asked in threads, and for the guest's power off it may take what
 * time the guest has: a libvirtd that hangs may go on, and then presses the power button yet.  A
 * connection to one that hangs is closed only when the VM is to be forced off, as its domain is
 * bound to it.  A QEMU that libvirt cannot end, or that hangs itself, is ended by a signal. */
#include <libvirt/virterror.h>

#include "launcher/base/deadline.h"
#include "launcher/base/error.h"
#include "launcher/base/log.h"
#include "launcher/domain/qemu-process.h"
#include "launcher/monitor/internal.h"

#define POWER_BUTTON_PRESSES 5
#define POWER_BUTTON_INTERVAL_MS 3000
/* After this a libvirtd that does not answer is spoken of. */
#define ANSWER_MS 10000
/* What another libvirtd than the one that started the domain has to answer in. */
#define CONNECT_SECONDS 30

/* --- by force -----------------------------------------------------------------------------------
 */

typedef struct {
    HxMonitor *monitor;
    GCancellable *patience;
    gboolean by_signal;
    GError *cause; /* of that */
    GError *error;
} EndCall;

/* By a new connection where libvirtd has died under the old one. */
static gboolean end_by_libvirt(HxMonitor *monitor, GCancellable *patience, GError **error)
{
    if (monitor->domain &&
        (virDomainDestroyFlags(monitor->domain, VIR_DOMAIN_DESTROY_GRACEFUL) == 0 ||
         virGetLastErrorCode() == VIR_ERR_NO_DOMAIN ||
         virGetLastErrorCode() == VIR_ERR_OPERATION_INVALID)) /* it is off already */
        return TRUE;
    if (monitor->libvirt_gone) {
        g_set_error_literal(error, HX_ERROR, HX_ERROR_HOST, HX_LIBVIRT_HANGS);
        return FALSE;
    }
    g_autoptr(virConnect) connection = hx_libvirt_open(patience, error);
    if (!connection) {
        if (error && g_error_matches(*error, HX_ERROR, HX_ERROR_CANCELLED)) {
            g_clear_error(error);
            g_set_error_literal(error, HX_ERROR, HX_ERROR_HOST, HX_LIBVIRT_HANGS);
        }
        return FALSE;
    }
    hx_libvirt_bound_silence(connection);
    g_autoptr(virDomain) domain = virDomainLookupByUUIDString(connection, monitor->uuid);
    if ((!domain && virGetLastErrorCode() == VIR_ERR_NO_DOMAIN) ||
        (domain && virDomainDestroyFlags(domain, VIR_DOMAIN_DESTROY_GRACEFUL) == 0))
        return TRUE;
    hx_libvirt_set_error(error, HX_ERROR_HOST, "libvirt cannot end the VM");
    return FALSE;
}

static void end_domain(void *data)
{
    EndCall *call = data;
    if (end_by_libvirt(call->monitor, call->patience, &call->cause))
        return;
    call->by_signal = hx_qemu_end(call->monitor->uuid, &call->error);
}

static gboolean on_impatient(void *data)
{
    g_cancellable_cancel(data);
    return G_SOURCE_CONTINUE;
}

void hx_monitor_end_domain(HxMonitor *monitor)
{
    if (!monitor->domain && !monitor->domain_lost)
        return;
    g_autoptr(GCancellable) patience = g_cancellable_new();
    EndCall call = {.monitor = monitor, .patience = patience};
    if (!monitor->domain_ended) {
        guint timer = g_timeout_add_seconds(CONNECT_SECONDS, on_impatient, patience);
        if (monitor->connection && (monitor->stop_requested || monitor->failure))
            hx_libvirt_bound_silence(monitor->connection);
        hx_monitor_call(end_domain, &call);
        g_source_remove(timer);
    }
    if (call.by_signal)
        hx_monitor_note(monitor, "%s; QEMU was ended by a signal", call.cause->message);
    if (call.error) {
        g_prefix_error(&call.error, "%s; and ", call.cause->message);
        hx_monitor_fail(monitor, call.error);
    }
    g_clear_error(&call.cause);
    /* libvirt answers when QEMU has ended. */
    monitor->domain_ended = TRUE;
    monitor->domain_lost = FALSE;
    g_clear_pointer(&monitor->domain, virDomainFree);
}

/* --- by the guest -------------------------------------------------------------------------------
 */

/* Another request may ask for force while the guest is powering off. */
static gboolean is_off_or_to_be_forced(void *data)
{
    const HxMonitor *monitor = data;
    return monitor->domain_ended || monitor->stop_timeout == 0 || monitor->failure ||
           monitor->libvirt_lost;
}

/* A request of libvirt, in a thread, which is done with it when it is answered. */
typedef struct {
    HxMonitor *monitor;
    int (*request)(virDomain *domain);
    int result;
    gboolean done;
} Asking;

static gboolean on_answer(void *data)
{
    ((Asking *)data)->done = TRUE;
    return G_SOURCE_REMOVE;
}

static void *run_asking(void *data)
{
    Asking *asking = data;
    asking->result = asking->request(asking->monitor->domain);
    g_idle_add_full(G_PRIORITY_DEFAULT, on_answer, asking, NULL);
    return NULL;
}

static gboolean is_answered(void *data)
{
    return ((const Asking *)data)->done;
}

static gboolean is_answered_or_over(void *data)
{
    const Asking *asking = data;
    return asking->done || is_off_or_to_be_forced(asking->monitor);
}

static guint left_until(gint64 deadline)
{
    return hx_time_left(deadline) / G_TIME_SPAN_MILLISECOND + 1;
}

/* Have libvirt do @request, until @deadline: FALSE where it does not, or refuses to.  One that
 * hangs is given the time until its connection closes besides. */
static gboolean ask_libvirt(HxMonitor *monitor, int (*request)(virDomain *domain), gint64 deadline)
{
    Asking asking = {.monitor = monitor, .request = request};
    g_thread_unref(g_thread_new("libvirt-call", run_asking, &asking));
    if (!hx_monitor_iterate(is_answered_or_over, &asking, MIN(ANSWER_MS, left_until(deadline)))) {
        hx_monitor_note(monitor, HX_LIBVIRT_HANGS "; the guest is forced off in %u s",
                        left_until(deadline) / 1000);
        hx_monitor_iterate(is_answered_or_over, &asking, left_until(deadline));
    }
    /* Where a connection closes under one call, libvirt's client never wakes another that waits
     * behind it: none is made before this one has ended. */
    if (!asking.done && monitor->connection)
        hx_libvirt_bound_silence(monitor->connection);
    hx_monitor_iterate(is_answered, &asking, 0);
    return asking.result == 0;
}

static int press_button(virDomain *domain)
{
    return virDomainShutdownFlags(domain, VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN);
}

/* A guest that is paused cannot power off.  FALSE where it stays paused. */
static gboolean resume(HxMonitor *monitor, gint64 deadline)
{
    if (!monitor->domain_paused)
        return TRUE;
    hx_monitor_note(monitor, "resuming the guest, which is paused, so that it can power off");
    return ask_libvirt(monitor, virDomainResume, deadline);
}

/* Press the power button, and again: a guest that has just become ready may not watch it yet, and
 * the press is lost.  Who is powering off already takes no notice. */
static void power_off(HxMonitor *monitor, gint64 deadline)
{
    for (int press = 1; g_get_monotonic_time() < deadline; press++) {
        /* A press that is refused finds the guest about to be gone. */
        gboolean is_last =
            !ask_libvirt(monitor, press_button, deadline) || press >= POWER_BUTTON_PRESSES;
        guint left = left_until(deadline);
        guint wait = is_last ? left : MIN(left, POWER_BUTTON_INTERVAL_MS);
        gboolean is_over = hx_monitor_iterate(is_off_or_to_be_forced, monitor, wait);
        if (monitor->libvirt_lost && !monitor->libvirt_gone)
            hx_monitor_reconnect(monitor);
        else if (is_over || is_last)
            return;
        if (monitor->domain_ended || monitor->failure)
            return;
    }
}

void hx_monitor_stop_domain(HxMonitor *monitor, char **ret_text)
{
    if (monitor->libvirt_lost && !monitor->libvirt_gone)
        hx_monitor_reconnect(monitor);
    if ((!monitor->domain && !monitor->domain_lost) || monitor->domain_ended) {
        *ret_text = g_strdup(monitor->domain_end_reason ? monitor->domain_end_reason
                                                        : "the VM had not started");
        hx_monitor_end_domain(monitor);
        return;
    }
    gint64 begun = g_get_monotonic_time();
    guint timeout = monitor->ready && monitor->domain ? monitor->stop_timeout : 0;
    gint64 deadline = begun + timeout * G_TIME_SPAN_SECOND;
    if (timeout > 0 && resume(monitor, deadline))
        power_off(monitor, deadline);
    double seconds = (g_get_monotonic_time() - begun) / (double)G_TIME_SPAN_SECOND;
    monitor->forced = !monitor->domain_ended;
    if (monitor->domain_ended)
        *ret_text = g_strdup_printf("the guest powered off in %.1f s", seconds);
    else if (timeout > 0)
        *ret_text =
            g_strdup_printf("the guest did not power off in %.1f s and was forced off", seconds);
    else
        *ret_text = g_strdup("forced off");
    hx_monitor_end_domain(monitor);
}
