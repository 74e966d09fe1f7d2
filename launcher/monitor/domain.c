/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The domain under libvirt: started on the first accelerator that gets the guest going.
 *
 * Theory of operation.  The domain is transient and bound to the monitor's connection
 * (VIR_DOMAIN_START_AUTODESTROY): libvirt ends it when the monitor dies.  An accelerator that opens
 * proves nothing: on each but the last the guest must not fall silent before its first
 * notification, and one on which it does is left for the next.  An emulator that crashes under a
 * guest that boots is started again, a few times. */
#include <errno.h>
#include <libvirt/virterror.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "launcher/base/error.h"
#include "launcher/base/log.h"
#include "launcher/base/printable.h"
#include "launcher/domain/qemu-log.h"
#include "launcher/domain/vm-domain.h"
#include "launcher/host/accelerator-memory.h"
#include "launcher/monitor/internal.h"

/* A guest on a working accelerator says or does something every few seconds: it sends a
 * notification, prints on its console, writes to its disk. */
#define SILENCE_SECONDS 30
#define LOOK_MS 1000
/* How often QEMU may crash under an emulated guest that boots. */
#define BOOT_CRASHES_MAX 2
/* libvirt takes seconds to start QEMU, on a busy host many: after this it is to show that it does
 * anything. */
#define CREATE_SECONDS 60

/* --- what libvirt says --------------------------------------------------------------------------
 */

static char *qemu_log_path(HxMonitor *monitor)
{
    g_autofree char *name = hx_vm_domain_name(monitor->vm);
    return hx_qemu_log_path(name);
}

/* The line of QEMU's log that tells most of why it failed, for g_free; NULL where there is none. */
static char *last_qemu_error(HxMonitor *monitor)
{
    g_autofree char *path = qemu_log_path(monitor);
    g_autofree char *text = NULL;
    return g_file_get_contents(path, &text, NULL, NULL) ? hx_qemu_log_error(text) : NULL;
}

typedef struct {
    HxMonitor *monitor;
    const char *xml;
    gboolean ended; /* at once */
    GError *error;
} CreateCall;

static void create_domain(void *data)
{
    CreateCall *call = data;
    hx_libvirt_start_log_daemon();
    call->monitor->domain =
        virDomainCreateXML(call->monitor->connection, call->xml, VIR_DOMAIN_START_AUTODESTROY);
    if (!call->monitor->domain) {
        hx_libvirt_set_error(&call->error, HX_ERROR_HOST, "libvirt cannot start the VM");
        return;
    }
    /* It may have ended again before its events had somebody to go to. */
    call->ended = virDomainIsActive(call->monitor->domain) == 0;
    char *now = call->monitor->vsock_kind == HX_VSOCK_KERNEL
                    ? virDomainGetXMLDesc(call->monitor->domain, 0)
                    : NULL;
    if (now)
        call->monitor->cid = hx_libvirt_cid(now);
    free(now);
}

static gboolean on_create_late(void *data)
{
    HxMonitor *monitor = data;
    monitor->create_timer = 0;
    hx_libvirt_bound_silence(monitor->connection);
    return G_SOURCE_REMOVE;
}

static void run_create(CreateCall *call)
{
    HxMonitor *monitor = call->monitor;
    monitor->domain_started = FALSE;
    monitor->create_timer = g_timeout_add_seconds(CREATE_SECONDS, on_create_late, monitor);
    hx_monitor_call(create_domain, call);
    g_clear_handle_id(&monitor->create_timer, g_source_remove);
    /* Where libvirt is not there to tell, QEMU may have run. */
    monitor->has_run |= monitor->domain || monitor->domain_started || monitor->libvirt_gone;
    if (monitor->domain && call->ended)
        hx_monitor_set_domain_ended(monitor, TRUE, TRUE, "QEMU ended at once");
}

/* --- start --------------------------------------------------------------------------------------
 */

static char *domain_xml(HxMonitor *monitor, const char *accelerator, GError **error)
{
    HxVmDomain domain = {
        .uuid = monitor->uuid,
        .accelerator = accelerator,
        .display = monitor->display,
        .x_display = monitor->x_display,
        .render_node = monitor->render_node,
        .vsock = monitor->vsock_kind,
        .notify_port = monitor->notify_port,
        .public_key = monitor->public_key,
    };
    return hx_vm_domain_xml(monitor->vm, monitor->profile, &domain, error);
}

static gboolean is_going_or_gone(HxMonitor *monitor)
{
    return monitor->guest_alive || monitor->domain_ended || monitor->domain_paused;
}

/* Why the domain did not get going, for g_free. */
static char *describe_failure(HxMonitor *monitor)
{
    g_autofree char *said = last_qemu_error(monitor);
    const char *what = monitor->domain_ended ? monitor->domain_end_reason
                       : monitor->domain_paused
                           ? "QEMU stopped the guest's processors"
                           : "no sign of life from the guest in " G_STRINGIFY(SILENCE_SECONDS) " s";
    return said ? g_strdup_printf("%s (%s)", what, said) : g_strdup(what);
}

/* The line of libvirt's @message that says most: where QEMU failed it quotes QEMU's whole log.  For
 * g_free. */
static char *essence(const char *message)
{
    g_auto(GStrv) lines = g_strsplit(message, "\n", -1);
    for (char **line = lines; *line; line++) {
        const char *qemu = strstr(*line, "qemu-system-");
        if (qemu && line != lines)
            return hx_printable(qemu);
    }
    return hx_printable(lines[0] ? lines[0] : message);
}

/* With the kernel's vsock libvirt has chosen the CID: keep it, where hx_vm_connect looks for it. */
static gboolean keep_cid(HxMonitor *monitor, GError **error)
{
    if (monitor->vsock_kind != HX_VSOCK_KERNEL)
        return TRUE;
    if (monitor->cid == 0) {
        g_set_error_literal(error, HX_ERROR, HX_ERROR_HOST, "libvirt gave the VM no vsock CID");
        return FALSE;
    }
    g_autofree char *text = g_strdup_printf("%u\n", monitor->cid);
    return g_file_set_contents(hx_vm_runtime_path(monitor->vm, "cid"), text, -1, error);
}

/* Have libvirt start @xml, once more where libvirtd dies over it. */
static gboolean create(HxMonitor *monitor, const char *xml, GError **error)
{
    CreateCall call = {.monitor = monitor, .xml = xml};
    run_create(&call);
    if (!monitor->domain && virConnectIsAlive(monitor->connection) != 1) {
        hx_log_warning("%s", call.error->message);
        g_clear_error(&call.error);
        monitor->libvirt_lost = TRUE;
        hx_monitor_reconnect(monitor);
        if (!monitor->failure) {
            /* It may have come so far as to start QEMU. */
            monitor->domain_lost = TRUE;
            hx_monitor_end_domain(monitor);
            monitor->domain_ended = FALSE;
        }
        if (!monitor->failure)
            run_create(&call);
        else
            call.error = g_error_copy(monitor->failure);
    }
    if (!monitor->domain)
        g_propagate_error(error, call.error);
    return monitor->domain != NULL;
}

/* A number that changes with what the guest prints, or writes to its disk. */
static guint64 traces(HxMonitor *monitor)
{
    static const char *const names[] = {"console.log", "disk.qcow2"};
    guint64 sum = 0;
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        struct stat status;
        if (stat(hx_vm_state_path(monitor->vm, names[i]), &status) == 0)
            sum += status.st_size + status.st_mtim.tv_sec * 1000000000ULL + status.st_mtim.tv_nsec;
    }
    return sum;
}

/* Until the guest is alive or gone, or silent for too long.  One that only prints is slow: a guest
 * without credentials is heard of when cloud-init is done.  FALSE with @error where the VM is to
 * stop. */
static gboolean await_life(HxMonitor *monitor, gboolean *ret_silent, GError **error)
{
    gint64 heard = g_get_monotonic_time();
    guint64 last = traces(monitor);
    *ret_silent = FALSE;
    for (;;) {
        g_autoptr(GError) cause = NULL;
        if (hx_monitor_wait(monitor, is_going_or_gone, LOOK_MS, &cause))
            return TRUE;
        if (!g_error_matches(cause, HX_ERROR, HX_ERROR_TIMEOUT)) {
            g_propagate_error(error, g_steal_pointer(&cause));
            return FALSE;
        }
        gint64 now = g_get_monotonic_time();
        guint64 sum = traces(monitor);
        if (sum != last)
            heard = now;
        last = sum;
        *ret_silent = now - heard > SILENCE_SECONDS * G_TIME_SPAN_SECOND;
        if (*ret_silent || hx_monitor_boot_time_left(monitor) == 0)
            return TRUE;
    }
}

/* Start on @accelerator.  FALSE without @error where it was tried and @ret_reason says why to leave
 * it, and @ret_silent that the guest only was silent; FALSE with @error where there is no use in
 * trying another. */
static gboolean try_accelerator(HxMonitor *monitor, const char *accelerator, gboolean is_last,
                                char **ret_reason, gboolean *ret_silent, GError **error)
{
    g_autofree char *xml = domain_xml(monitor, accelerator, error);
    if (!xml)
        return FALSE;
    monitor->domain_ended = monitor->domain_paused = monitor->qemu_died = FALSE;
    monitor->guest_alive = monitor->guest_ready = FALSE;
    monitor->boot_begun = g_get_monotonic_time();
    g_autoptr(GError) refusal = NULL;
    if (!create(monitor, xml, &refusal)) {
        hx_log_info("%s", refusal->message);
        *ret_reason = essence(refusal->message);
        return FALSE;
    }
    if (!keep_cid(monitor, error))
        return FALSE;
    if (is_last)
        return TRUE;
    gboolean silent = FALSE;
    if (!await_life(monitor, &silent, error))
        return FALSE;
    if (!silent && !monitor->domain_ended && !monitor->domain_paused)
        return TRUE;
    if (silent)
        *ret_silent = TRUE;
    *ret_reason = describe_failure(monitor);
    hx_monitor_end_domain(monitor);
    return FALSE;
}

/* Several emulated processors of QEMU's race with the guest's changes of the memory map, and now
 * and then a guest's boot trips over it: an assertion of QEMU's fails.  The same start works the
 * next time.  TRUE where QEMU, which ended for @reason, is to be started again. */
static gboolean forgive_crash(HxMonitor *monitor, const char *accelerator, const char *reason)
{
    if (!monitor->qemu_died || !g_str_equal(accelerator, "tcg") ||
        monitor->crashes->len >= BOOT_CRASHES_MAX)
        return FALSE;
    g_ptr_array_add(monitor->crashes, g_strdup(reason));
    hx_monitor_note(monitor, "starting QEMU again (%u of %d): %s", monitor->crashes->len,
                    BOOT_CRASHES_MAX, reason);
    return TRUE;
}

gboolean hx_monitor_start_again(HxMonitor *monitor, GError **error)
{
    g_autofree char *path = qemu_log_path(monitor);
    g_autofree char *reason = describe_failure(monitor);
    if (!forgive_crash(monitor, monitor->accelerator, reason)) {
        g_set_error(error, HX_ERROR, HX_ERROR_GUEST, "%s before the guest was ready%s: see %s",
                    reason, monitor->crashes->len ? ", and so when it was started before" : "",
                    monitor->qemu_died ? path : hx_vm_state_path(monitor->vm, "console.log"));
        return FALSE;
    }
    hx_monitor_end_domain(monitor);
    g_autofree char *phase = g_strdup_printf("start (%s)", monitor->accelerator);
    g_autofree char *cause = NULL;
    hx_monitor_begin_phase(monitor, phase);
    gboolean silent = FALSE;
    if (try_accelerator(monitor, monitor->accelerator, TRUE, &cause, &silent, error)) {
        hx_monitor_end_phase(monitor, "QEMU runs on %s again", monitor->accelerator);
        return TRUE;
    }
    if (cause)
        g_set_error(error, HX_ERROR, HX_ERROR_HOST, "QEMU cannot be started again: %s", cause);
    return FALSE;
}

static char *conditions(HxMonitor *monitor, const char *accelerator)
{
    return hx_accelerator_conditions(accelerator, monitor->qemu_version);
}

/* An earlier start has tried @accelerator in vain, and nothing has changed that it depends on. */
static gboolean was_left_before(HxMonitor *monitor, const char *accelerator, char **ret_reason)
{
    gint64 age = 0;
    g_autofree char *now = conditions(monitor, accelerator);
    g_autofree char *reason =
        hx_accelerator_recall(accelerator, now, g_get_real_time() / G_TIME_SPAN_SECOND, &age);
    if (reason)
        *ret_reason = g_strdup_printf("%s (%" G_GINT64_FORMAT " min ago; tried again after %d min)",
                                      reason, age / 60, HX_ACCELERATOR_MEMORY_S / 60);
    return reason != NULL;
}

/* Whether the try that has just failed would fail again: QEMU refused to start, or stopped the
 * guest's processors.  A QEMU that was killed, or a host too busy for signs of life, tell nothing
 * of the accelerator. */
static gboolean is_the_accelerators_fault(const HxMonitor *monitor)
{
    return monitor->domain_paused || !monitor->domain_ended;
}

void hx_monitor_remember_accelerators(HxMonitor *monitor)
{
    GHashTableIter iterator;
    void *accelerator, *reason;
    g_hash_table_iter_init(&iterator, monitor->tried);
    while (g_hash_table_iter_next(&iterator, &accelerator, &reason)) {
        g_autofree char *now = conditions(monitor, accelerator);
        hx_accelerator_remember(accelerator, now, g_get_real_time() / G_TIME_SPAN_SECOND, reason);
    }
}

gboolean hx_monitor_start_domain(HxMonitor *monitor, GError **error)
{
    monitor->tried = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    monitor->crashes = g_ptr_array_new_with_free_func(g_free);
    const HxArchitecture *architecture = hx_vm_architecture(monitor->profile, error);
    if (!architecture)
        return FALSE;
    g_auto(GStrv) wanted = hx_profile_list(monitor->profile, "machine.accelerators");
    g_auto(GStrv) accelerators = hx_accelerators_here(wanted, architecture);
    monitor->left = g_ptr_array_new_with_free_func(g_free);
    for (char **accelerator = accelerators; *accelerator; accelerator++) {
        g_autofree char *phase = g_strdup_printf("start (%s)", *accelerator);
        g_autofree char *reason = NULL;
        gboolean silent = FALSE;
        if (!hx_monitor_goes_on(monitor, error))
            return FALSE;
        hx_monitor_begin_phase(monitor, phase);
        if (accelerator[1] && was_left_before(monitor, *accelerator, &reason)) {
            g_ptr_array_add(monitor->left, g_strdup_printf("%s: %s", *accelerator, reason));
            hx_monitor_end_phase(monitor, "left %s: %s", *accelerator, reason);
            continue;
        }
        if (try_accelerator(monitor, *accelerator, !accelerator[1], &reason, &silent, error)) {
            monitor->accelerator = g_strdup(*accelerator);
            hx_monitor_end_phase(monitor, "QEMU runs on %s", *accelerator);
            return TRUE;
        }
        if (!reason)
            return FALSE;
        if (forgive_crash(monitor, *accelerator, reason)) {
            accelerator--; /* the same again */
            continue;
        }
        g_ptr_array_add(monitor->left, g_strdup_printf("%s: %s", *accelerator, reason));
        hx_monitor_end_phase(monitor, "left %s: %s", *accelerator, reason);
        if (is_the_accelerators_fault(monitor))
            /* Silence may be the guest's own: the next VM's guest tells. */
            if (!silent)
                g_hash_table_insert(monitor->tried, g_strdup(*accelerator),
                                    g_steal_pointer(&reason));
    }
    g_ptr_array_add(monitor->left, NULL);
    g_autofree char *all = g_strjoinv("; ", (char **)monitor->left->pdata);
    g_ptr_array_set_size(monitor->left, monitor->left->len - 1);
    g_set_error(error, HX_ERROR, HX_ERROR_HOST, "no accelerator can run the VM: %s",
                *all ? all : "the profile names none that this host has");
    return FALSE;
}

void hx_monitor_close_domain(HxMonitor *monitor)
{
    g_clear_pointer(&monitor->accelerator, g_free);
    g_clear_pointer(&monitor->left, g_ptr_array_unref);
    g_clear_pointer(&monitor->crashes, g_ptr_array_unref);
    g_clear_pointer(&monitor->tried, g_hash_table_unref);
    g_clear_pointer(&monitor->domain_end_reason, g_free);
}
