/* SPDX-License-Identifier: GPL-2.0-or-later */
/* helixvm monitor: the process that owns a running VM; started by `up`, not by people. */
#include <fcntl.h>
#include <sys/prctl.h>

#include "cli/verb.h"
#include "cli/vm-start.h"
#include "guest-provision/identity.h"
#include "launcher/base/error.h"
#include "launcher/base/log.h"
#include "launcher/monitor/monitor.h"
#include "launcher/vm/lock.h"
#include "launcher/vm/remove.h"

static gboolean guard(int argc, char **argv, int fd, GError **error)
{
    hx_log_init("helixvm-guard", TRUE);
    g_autoptr(HxVm) vm = hx_vm_open(hx_verb_vm_name(argc, argv, 1), error);
    if (!vm)
        return FALSE;
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) {
        g_set_error_literal(
            error, HX_ERROR, HX_ERROR_USAGE,
            "--guard-fd takes an open descriptor: it is a monitor that starts its guard");
        return FALSE;
    }
    return hx_monitor_guard(vm, fd, hx_verb_cancellable(), error);
}

gboolean hx_verb_monitor(int argc, char **argv, GError **error)
{
    int start_fd = -1;
    int lock_fd = -1;
    int guard_fd = -1;
    int boot_timeout = HX_BOOT_TIMEOUT;
    gboolean bound = FALSE;
    gboolean is_new = FALSE;
    const GOptionEntry entries[] = {
        {"start-fd", 0, 0, G_OPTION_ARG_INT, &start_fd, "a connected socket for events", "FD"},
        {"lock-fd", 0, 0, G_OPTION_ARG_INT, &lock_fd, "the VM's lock, held", "FD"},
        {"bound", 0, 0, G_OPTION_ARG_NONE, &bound, "end the VM when the events' socket closes",
         NULL},
        {"new", 0, 0, G_OPTION_ARG_NONE, &is_new, "remove the VM where it never comes to run",
         NULL},
        {"boot-timeout", 0, 0, G_OPTION_ARG_INT, &boot_timeout, "how long the guest may boot",
         "SECONDS"},
        {"guard-fd", 0, 0, G_OPTION_ARG_INT, &guard_fd,
         "be the guard of the monitor whose pidfd this is", "FD"},
        G_OPTION_ENTRY_NULL,
    };
    if (!hx_verb_parse("[VM]", entries, &argc, &argv, 0, 1, error))
        return FALSE;
    prctl(PR_SET_NAME, "helixvm"); /* not what it was executed by */
    if (guard_fd >= 0)
        return guard(argc, argv, guard_fd, error);
    if (fcntl(start_fd, F_SETFD, FD_CLOEXEC) < 0 || fcntl(lock_fd, F_SETFD, FD_CLOEXEC) < 0) {
        g_set_error_literal(
            error, HX_ERROR, HX_ERROR_USAGE,
            "--start-fd and --lock-fd take open descriptors: it is `up` that starts "
            "a monitor");
        return FALSE;
    }
    hx_log_init("helixvm-monitor", TRUE);
    g_autoptr(HxVm) vm = hx_vm_open(hx_verb_vm_name(argc, argv, 1), error);
    g_autofree char *public_key = NULL;
    if (!vm)
        return FALSE;
    g_autoptr(GError) cause = NULL;
    if (!hx_identity_ensure(hx_vm_identity_path(vm), &public_key, &cause)) {
        hx_monitor_tell_failure(start_fd, cause);
        if (is_new)
            hx_vm_remove(vm, NULL);
        hx_vm_unlock(vm, lock_fd);
        g_propagate_error(error, g_steal_pointer(&cause));
        return FALSE;
    }
    return hx_monitor_run(vm, start_fd, bound, is_new, lock_fd, boot_timeout, public_key,
                          hx_verb_cancellable(), error);
}
