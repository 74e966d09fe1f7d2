/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/monitor/reach.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "launcher/base/edit-distance.h"
#include "launcher/base/error.h"
#include "launcher/base/fd.h"
#include "launcher/base/pause.h"
#include "launcher/domain/libvirt-connection.h"
#include "launcher/domain/stale-domain.h"
#include "launcher/host/x-display.h"
#include "launcher/vm/last-run.h"
#include "launcher/vm/lock.h"
#include "launcher/vm/run.h"

#define RETRY_MS 100
#define TIMEOUT_S 20

static gboolean end_by_libvirt(HxVm *vm, GCancellable *cancel, GError **error)
{
    if (!hx_libvirt_register_events(error))
        return FALSE;
    g_autoptr(virConnect) connection = hx_libvirt_open(cancel, error);
    if (!connection)
        return FALSE;
    hx_libvirt_bound_silence(connection);
    gboolean ended;
    return hx_stale_domain_end(vm, connection, &ended, error);
}

/* QEMU first, by a signal: a libvirtd that was killed, too, and is started anew waits for the
 * answers of a QEMU whose display has gone with the monitor.  Then libvirt's own record of it. */
static gboolean end_domain(HxVm *vm, GCancellable *cancel, GError **error)
{
    g_autoptr(GError) not_signalled = NULL;
    g_autoptr(GError) cause = NULL;
    gboolean is_gone = hx_stale_qemu_end(vm, &not_signalled);
    if (end_by_libvirt(vm, cancel, &cause))
        return TRUE;
    if (!g_error_matches(cause, HX_ERROR, HX_ERROR_CANCELLED)) {
        if (is_gone)
            return TRUE;
        g_prefix_error(&cause, "%s; and ", not_signalled->message);
    }
    g_propagate_error(error, g_steal_pointer(&cause));
    return FALSE;
}

/* The lock is ours: a monitor that ended well has left nothing. */
static gboolean mend(HxVm *vm, GCancellable *cancel, GError **error)
{
    HxRunState run = hx_run_state(vm);
    if (run == HX_RUN_NONE &&
        !g_file_test(hx_vm_runtime_path(vm, "control.sock"), G_FILE_TEST_EXISTS))
        return TRUE;
    /* No domain outlives its host. */
    if (run != HX_RUN_HOST_DOWN && !end_domain(vm, cancel, error))
        return FALSE;
    hx_x_display_remove(vm);
    hx_last_run_keep(vm, TRUE, hx_run_failure(run == HX_RUN_HOST_DOWN ? run : HX_RUN_KILLED));
    hx_run_end(vm);
    hx_vm_clear_runtime(vm);
    return TRUE;
}

int hx_vm_reach(HxVm *vm, int *ret_lock, GCancellable *cancel, GError **error)
{
    gint64 deadline = g_get_monotonic_time() + TIMEOUT_S * G_TIME_SPAN_SECOND;
    *ret_lock = -1;
    for (;;) {
        g_autoptr(GError) cause = NULL;
        int fd = hx_vm_connect_monitor(vm, &cause);
        if (fd >= 0)
            return fd;
        if (!g_error_matches(cause, HX_ERROR, HX_ERROR_NOT_RUNNING)) {
            g_propagate_error(error, g_steal_pointer(&cause));
            return -1;
        }
        g_clear_error(&cause);
        if (hx_run_is_cut_off(vm)) {
            g_set_error(error, HX_ERROR, HX_ERROR_FAILED,
                        "VM \"%s\" runs, but its sockets in %s were removed: end it with `helixvm "
                        "down %s`",
                        hx_vm_name(vm), hx_vm_runtime_path(vm, NULL), hx_vm_name(vm));
            return -1;
        }
        int lock = hx_vm_lock(vm, &cause);
        if (lock >= 0 && mend(vm, cancel, error)) {
            *ret_lock = lock;
            return -1;
        }
        if (lock >= 0) {
            hx_vm_unlock(vm, lock);
            return -1;
        }
        if (!g_error_matches(cause, HX_ERROR, HX_ERROR_FAILED)) {
            g_propagate_error(error, g_steal_pointer(&cause));
            return -1;
        }
        if (hx_is_cancelled(cancel, error))
            return -1;
        if (g_get_monotonic_time() > deadline) {
            g_set_error(error, HX_ERROR, HX_ERROR_TIMEOUT, "%s", cause->message);
            return -1;
        }
        /* There is no event to wait for: a starting monitor is yet to make its socket. */
        hx_pause(RETRY_MS, cancel);
    }
}

int hx_vm_own(HxVm *vm, const char *why, GCancellable *cancel, GError **error)
{
    int lock = -1;
    hx_autofd int monitor = hx_vm_reach(vm, &lock, cancel, error);
    if (monitor >= 0)
        g_set_error(error, HX_ERROR, HX_ERROR_FAILED,
                    "VM \"%s\" is up%s: power it off with `helixvm down %s`", hx_vm_name(vm), why,
                    hx_vm_name(vm));
    return lock;
}

/* Wait until the process of @pidfd has ended.  FALSE with @error after @seconds, or where @cancel
 * comes first. */
static gboolean await_process(int pidfd, int seconds, GCancellable *cancel, GError **error)
{
    gint64 end = g_get_monotonic_time() + seconds * G_TIME_SPAN_SECOND;
    int r = hx_await_readable(pidfd, end, cancel);
    if (r == 0)
        return TRUE;
    if (hx_is_cancelled(cancel, error))
        return FALSE;
    if (r == -ETIMEDOUT)
        g_set_error(error, HX_ERROR, HX_ERROR_TIMEOUT, "it did not end within %d s", seconds);
    else
        hx_set_error_errno(error, HX_ERROR_FAILED, -r, "cannot wait for its end");
    return FALSE;
}

gboolean hx_vm_end_cut_off(HxVm *vm, int timeout, gboolean *ret_forced, GCancellable *cancel,
                           GError **error)
{
    *ret_forced = FALSE;
    hx_autofd int monitor = hx_run_open_monitor(vm);
    if (monitor < 0)
        return TRUE;
    /* It has the guest power off, and hears of its end from libvirt. */
    g_autoptr(GError) cause = NULL;
    pidfd_send_signal(monitor, SIGTERM, NULL, 0);
    if (await_process(monitor, timeout, cancel, &cause))
        return TRUE;
    if (g_error_matches(cause, HX_ERROR, HX_ERROR_CANCELLED)) {
        g_propagate_error(error, g_steal_pointer(&cause));
        return FALSE;
    }
    *ret_forced = TRUE;
    if (!end_domain(vm, cancel, error))
        return FALSE;
    if (await_process(monitor, TIMEOUT_S, cancel, error))
        return TRUE;
    g_prefix_error(error, "the monitor of VM \"%s\" is told to end: ", hx_vm_name(vm));
    return FALSE;
}

/* The VM that @name may have been meant for, for g_free; NULL where none is near. */
static char *nearest(const char *name)
{
    g_autoptr(GPtrArray) names = hx_vm_names(NULL);
    if (!names)
        return NULL;
    /* What is left of a VM is none. */
    guint own;
    if (g_ptr_array_find_with_equal_func(names, name, g_str_equal, &own))
        g_ptr_array_remove_index(names, own);
    g_ptr_array_add(names, NULL);
    return g_strdup(hx_nearest_word(name, (const char *const *)names->pdata));
}

gboolean hx_vm_check_known(HxVm *vm, GError **error)
{
    if (g_file_test(hx_vm_state_path(vm, "profile.conf"), G_FILE_TEST_EXISTS))
        return TRUE;
    g_autofree char *near = nearest(hx_vm_name(vm));
    if (near)
        g_set_error(error, HX_ERROR, HX_ERROR_NOT_FOUND,
                    "there is no VM \"%s\": the nearest is \"%s\"; `helixvm list` shows all",
                    hx_vm_name(vm), near);
    else
        g_set_error(error, HX_ERROR, HX_ERROR_NOT_FOUND,
                    "there is no VM \"%s\": make it with `helixvm up %s`", hx_vm_name(vm),
                    hx_vm_name(vm));
    return FALSE;
}
