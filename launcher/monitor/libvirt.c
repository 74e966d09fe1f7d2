/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The monitor's connection to libvirt: what libvirt tells, and what is done when libvirtd dies.
 *
 * Theory of operation.  libvirt's events come in the main loop.  QEMU is no child of libvirtd's and
 * outlives it; a libvirtd that is started anew finds it again by what it has written of it.  So
 * where the connection breaks, the main loop only notes it, and whoever waits (hx_monitor_wait)
 * connects anew before it goes on: with patience, as an init system may be at it, and with an end.
 * The new connection watches the domain as the old one did.  What it has not is the old one's
 * VIR_DOMAIN_START_AUTODESTROY: libvirt keeps that in libvirtd's memory alone.  If the monitor is
 * killed then, its guard (monitor-guard.c) ends the domain. */
#include <libvirt/virterror.h>

#include "launcher/base/error.h"
#include "launcher/base/log.h"
#include "launcher/domain/stale-domain.h"
#include "launcher/monitor/internal.h"

#define RECONNECT_MS 30000
#define RECONNECT_PAUSE_MS 50 /* the first; each is twice the one before, up to */
#define RECONNECT_PAUSE_MAX_MS 1000
/* A libvirtd that dies this often, each time within a minute of the last, will die again. */
#define RECONNECTS_MAX 20
#define RECONNECTS_WITHIN (60 * G_TIME_SPAN_SECOND)

/* --- events -------------------------------------------------------------------------------------
 */

static const char *describe_stop(int detail)
{
    switch (detail) {
    case VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN:
        return "the guest powered off";
    case VIR_DOMAIN_EVENT_STOPPED_DESTROYED:
        return "the domain was destroyed from outside";
    case VIR_DOMAIN_EVENT_STOPPED_CRASHED:
        return "QEMU ended unexpectedly";
    default:
        return "QEMU failed";
    }
}

void hx_monitor_set_domain_ended(HxMonitor *monitor, gboolean crashed, gboolean qemu_died,
                                 const char *reason)
{
    monitor->domain_ended = TRUE;
    g_cancellable_cancel(monitor->ssh_try);
    monitor->domain_crashed = crashed;
    monitor->qemu_died = qemu_died;
    g_free(monitor->domain_end_reason);
    monitor->domain_end_reason = g_strdup(reason);
}

static int on_domain_event(virConnect *connection, virDomain *domain, int event, int detail,
                           void *data)
{
    HxMonitor *monitor = data;
    char uuid[VIR_UUID_STRING_BUFLEN];
    if (virDomainGetUUIDString(domain, uuid) < 0 || !g_str_equal(uuid, monitor->uuid))
        return 0;
    hx_log_debug("libvirt event %d, detail %d", event, detail);
    if (event == VIR_DOMAIN_EVENT_STARTED)
        monitor->domain_started = TRUE;
    /* The last word of an earlier try may come when the next one is under way. */
    if (!monitor->domain || (event == VIR_DOMAIN_EVENT_STOPPED && !monitor->domain_started))
        return 0;
    if (event == VIR_DOMAIN_EVENT_STOPPED || event == VIR_DOMAIN_EVENT_CRASHED)
        hx_monitor_set_domain_ended(
            monitor,
            event == VIR_DOMAIN_EVENT_CRASHED || detail != VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN,
            event == VIR_DOMAIN_EVENT_STOPPED && detail == VIR_DOMAIN_EVENT_STOPPED_FAILED,
            describe_stop(detail));
    if (event == VIR_DOMAIN_EVENT_SUSPENDED)
        monitor->domain_paused = TRUE;
    if (event == VIR_DOMAIN_EVENT_RESUMED)
        monitor->domain_paused = FALSE;
    return 0;
}

/* Also where the guest's kernel crashed and starts anew. */
static void on_reboot(virConnect *connection, virDomain *domain, void *data)
{
    HxMonitor *monitor = data;
    char uuid[VIR_UUID_STRING_BUFLEN];
    if (virDomainGetUUIDString(domain, uuid) < 0 || !g_str_equal(uuid, monitor->uuid))
        return;
    hx_log_info("the guest reboots");
    monitor->guest_ready = FALSE;
    g_clear_pointer(&monitor->guest_status, g_free);
}

static void on_connection_closed(virConnect *connection, int reason, void *data)
{
    HxMonitor *monitor = data;
    monitor->libvirt_gone = reason == VIR_CONNECT_CLOSE_REASON_KEEPALIVE;
    monitor->libvirt_lost = TRUE;
}

/* --- the connection -----------------------------------------------------------------------------
 */

typedef struct {
    HxMonitor *monitor;
    virConnect *connection;
    gint64 deadline;      /* monotonic, µs; until then it is tried again */
    GCancellable *cancel; /* NULL: none */
    GError *error;
} OpenCall;

/* Hear of the domain on @connection, and learn what QEMU it has. */
static void take_connection(HxMonitor *monitor, virConnect *connection)
{
    monitor->connection = connection;
    monitor->event_callback =
        virConnectDomainEventRegisterAny(connection, NULL, VIR_DOMAIN_EVENT_ID_LIFECYCLE,
                                         VIR_DOMAIN_EVENT_CALLBACK(on_domain_event), monitor, NULL);
    monitor->reboot_callback =
        virConnectDomainEventRegisterAny(connection, NULL, VIR_DOMAIN_EVENT_ID_REBOOT,
                                         VIR_DOMAIN_EVENT_CALLBACK(on_reboot), monitor, NULL);
    virConnectRegisterCloseCallback(connection, on_connection_closed, monitor, NULL);
    monitor->qemu_user = hx_libvirt_qemu_user(connection);
    virConnectGetVersion(connection, &monitor->qemu_version);
}

static void open_connection(void *data)
{
    OpenCall *call = data;
    for (guint pause = RECONNECT_PAUSE_MS;; pause = MIN(2 * pause, RECONNECT_PAUSE_MAX_MS)) {
        g_clear_error(&call->error);
        call->connection = hx_libvirt_open(call->cancel, &call->error);
        if (call->connection || g_get_monotonic_time() > call->deadline ||
            g_cancellable_is_cancelled(call->cancel))
            break;
        g_usleep(pause * G_TIME_SPAN_MILLISECOND);
    }
    if (call->connection)
        take_connection(call->monitor, call->connection);
}

static void close_connection(void *data)
{
    HxMonitor *monitor = data;
    virConnectUnregisterCloseCallback(monitor->connection, on_connection_closed);
    if (monitor->event_callback >= 0)
        virConnectDomainEventDeregisterAny(monitor->connection, monitor->event_callback);
    if (monitor->reboot_callback >= 0)
        virConnectDomainEventDeregisterAny(monitor->connection, monitor->reboot_callback);
    monitor->event_callback = monitor->reboot_callback = -1;
    virConnectClose(monitor->connection);
}

void hx_monitor_close_libvirt(HxMonitor *monitor)
{
    if (!monitor->connection)
        return;
    hx_libvirt_bound_silence(monitor->connection);
    hx_monitor_call(close_connection, monitor);
    monitor->connection = NULL;
}

typedef struct {
    HxMonitor *monitor;
    gboolean ended;
    unsigned long version;
    GError *error;
} LeftCall;

/* Its monitor's lock is ours, so nobody owns a domain of this VM any more. */
static void end_left(void *data)
{
    LeftCall *call = data;
    virConnect *connection = call->monitor->connection;
    virConnectGetLibVersion(connection, &call->version);
    if (hx_stale_domain_end(call->monitor->vm, connection, &call->ended, &call->error))
        hx_stale_domain_check_name(call->monitor->vm, connection, &call->error);
}

gboolean hx_monitor_open_libvirt(HxMonitor *monitor, GError **error)
{
    hx_monitor_begin_phase(monitor, "libvirt");
    if (!hx_libvirt_register_events(error))
        return FALSE;
    OpenCall call = {.monitor = monitor, .cancel = monitor->stop};
    hx_monitor_call(open_connection, &call);
    if (!call.connection) {
        g_propagate_error(error, call.error);
        return FALSE;
    }
    LeftCall left = {.monitor = monitor};
    hx_monitor_call(end_left, &left);
    if (left.ended)
        hx_monitor_note(monitor, "ended the domain that a monitor left behind");
    if (left.error) {
        g_propagate_error(error, left.error);
        return FALSE;
    }
    hx_monitor_end_phase(monitor, "libvirt %lu.%lu", left.version / 1000000,
                         left.version / 1000 % 1000);
    return TRUE;
}

/* --- libvirtd has died --------------------------------------------------------------------------
 */

static void look_domain_up(void *data)
{
    HxMonitor *monitor = data;
    int state = VIR_DOMAIN_NOSTATE;
    g_autoptr(virDomain) domain = virDomainLookupByUUIDString(monitor->connection, monitor->uuid);
    if (domain && virDomainGetState(domain, &state, NULL, 0) == 0 &&
        virDomainIsActive(domain) == 1) {
        monitor->domain_paused = state == VIR_DOMAIN_PAUSED;
        monitor->domain = g_steal_pointer(&domain);
    }
}

/* See what has become of the domain meanwhile. */
static void find_domain(HxMonitor *monitor)
{
    hx_monitor_call(look_domain_up, monitor);
    if (monitor->domain)
        hx_monitor_note(monitor, "libvirtd ended and serves again: the VM has not noticed");
    else if (virConnectIsAlive(monitor->connection) != 1)
        monitor->libvirt_lost = TRUE; /* and once more */
    else if (!monitor->domain_ended)
        hx_monitor_set_domain_ended(monitor, TRUE, TRUE, "QEMU ended while libvirtd was away");
}

void hx_monitor_reconnect(HxMonitor *monitor)
{
    gboolean has_domain = monitor->domain || monitor->domain_lost;
    gint64 begun = g_get_monotonic_time();
    hx_log_warning("libvirtd ended: connecting to it anew");
    monitor->libvirt_lost = FALSE;
    g_clear_pointer(&monitor->domain, virDomainFree);
    hx_monitor_close_libvirt(monitor);
    /* A domain is to be ended: that needs libvirtd. */
    OpenCall call = {.monitor = monitor,
                     .deadline = begun + RECONNECT_MS * G_TIME_SPAN_MILLISECOND,
                     .cancel = has_domain ? NULL : monitor->stop};
    if (begun - monitor->reconnected > RECONNECTS_WITHIN)
        monitor->reconnects = 0;
    if (monitor->reconnects++ < RECONNECTS_MAX)
        hx_monitor_call(open_connection, &call);
    monitor->reconnected = g_get_monotonic_time();
    monitor->domain_lost = has_domain;
    if (!call.connection) {
        hx_monitor_fail(monitor,
                        g_error_new(HX_ERROR, HX_ERROR_HOST,
                                    "libvirtd ended and does not serve again: %s",
                                    call.error ? call.error->message : "it ends again and again"));
        g_clear_error(&call.error);
        monitor->libvirt_gone = TRUE;
        return;
    }
    monitor->libvirt_gone = FALSE;
    if (has_domain)
        find_domain(monitor);
    monitor->domain_lost = has_domain && !monitor->domain;
}
