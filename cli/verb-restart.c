/* SPDX-License-Identifier: GPL-2.0-or-later */
/* helixvm restart: power a VM off and start it anew, with what it was started with or other. */
#include "cli/verb.h"
#include "cli/vm-result.h"
#include "cli/vm-start.h"
#include "cli/vm-stop.h"
#include "launcher/domain/libvirt-connection.h"
#include "launcher/domain/vm-domain.h"
#include "launcher/monitor/reach.h"
#include "launcher/vm/room.h"

/* What is wrong is said while the VM still runs.  Memory and ports are its own yet: whether the
 * host has them shows when it is down. */
static gboolean check_profile(HxVm *vm, const HxProfileOptions *options, GError **error)
{
    g_autoptr(HxProfile) profile = hx_profile_options_load(options, vm, error);
    return profile && hx_vm_architecture(profile, error) &&
           hx_room_check_disks(vm, profile, error) && hx_room_check_shares(vm, profile, error);
}

static gboolean check_libvirt(GError **error)
{
    g_autoptr(virConnect) connection = hx_libvirt_open(hx_verb_cancellable(), error);
    return connection != NULL;
}

static gboolean restart(HxVm *vm, int timeout, const HxProfileOptions *options, int boot_timeout,
                        HxProgress *progress, HxVmStart *ret_start, GError **error)
{
    g_auto(HxVmEnd) end = {0};
    if (!hx_vm_check_known(vm, error) || !check_profile(vm, options, error) ||
        !check_libvirt(error) || !hx_vm_stop(vm, timeout, progress, &end, error))
        return FALSE;
    hx_progress_note(progress, end.was_down ? "the VM was down" : end.text);
    return hx_vm_start(vm, options, boot_timeout, progress, ret_start, error);
}

gboolean hx_verb_restart(int argc, char **argv, GError **error)
{
    g_auto(HxProfileOptions) options = {0};
    int timeout = HX_STOP_TIMEOUT;
    int boot_timeout = HX_BOOT_TIMEOUT;
    gboolean force = FALSE;
    gboolean quiet = FALSE;
    gboolean as_json = FALSE;
    const GOptionEntry entries[] = {
        HX_STOP_OPTION_ENTRIES(timeout, force),
        HX_PROFILE_OPTION_ENTRIES(options),
        HX_BOOT_TIMEOUT_ENTRY(boot_timeout),
        {"quiet", 'q', 0, G_OPTION_ARG_NONE, &quiet, "show no phases", NULL},
        {"json", 0, 0, G_OPTION_ARG_NONE, &as_json, "print the result as JSON", NULL},
        G_OPTION_ENTRY_NULL,
    };
    g_autoptr(HxVm) vm = hx_verb_parse_vm(entries, &argc, &argv, error);
    if (!vm || !hx_vm_check_timeout(timeout, error) ||
        !hx_vm_check_boot_timeout(boot_timeout, error))
        return FALSE;
    g_autoptr(HxProgress) progress = hx_progress_new(quiet);
    HxVmStart started;
    if (!restart(vm, force ? 0 : timeout, &options, boot_timeout, progress, &started, error))
        return FALSE;
    hx_vm_print_start(vm, &started, NULL, as_json);
    return TRUE;
}
