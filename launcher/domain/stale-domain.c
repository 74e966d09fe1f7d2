/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/domain/stale-domain.h"

#include <libvirt/virterror.h>

#include "launcher/base/error.h"
#include "launcher/base/pause.h"
#include "launcher/domain/qemu-process.h"
#include "launcher/domain/vm-domain.h"

/* How long libvirt may take to start a domain that nobody waits for. */
enum { START_SECONDS = 60, LOOK_AGAIN_MILLISECONDS = 100 };

/* The UUID of @vm's domains, for g_free; NULL where it never had one. */
static char *uuid_of(HxVm *vm)
{
    g_autofree char *uuid = NULL;
    if (!g_file_get_contents(hx_vm_state_path(vm, "uuid"), &uuid, NULL, NULL) ||
        !g_uuid_string_is_valid(g_strstrip(uuid)))
        return NULL;
    return g_steal_pointer(&uuid);
}

gboolean hx_stale_domain_end(HxVm *vm, virConnect *connection, gboolean *ret_ended, GError **error)
{
    g_autofree char *uuid = uuid_of(vm);
    gint64 deadline = g_get_monotonic_time() + START_SECONDS * G_TIME_SPAN_SECOND;
    *ret_ended = FALSE;
    for (;;) {
        g_autoptr(virDomain) domain = uuid ? virDomainLookupByUUIDString(connection, uuid) : NULL;
        gboolean is_none = !uuid || (!domain && virGetLastErrorCode() == VIR_ERR_NO_DOMAIN);
        *ret_ended |= domain != NULL;
        if (is_none || (domain && virDomainDestroy(domain) == 0))
            return TRUE;
        g_autofree char *message = g_strdup(virGetLastErrorMessage());
        int active = domain ? virDomainIsActive(domain) : -1;
        if (active < 0 && virGetLastErrorCode() == VIR_ERR_NO_DOMAIN)
            return TRUE;
        /* One that is not defined, and does not run, is still being started for a monitor that was
         * killed.  Nothing can end that, and no event tells of its end to who was not there at its
         * beginning. */
        if (active == 0 && virDomainIsPersistent(domain) != 0)
            return TRUE;
        if (active != 0 || g_get_monotonic_time() > deadline) {
            g_set_error(error, HX_ERROR, HX_ERROR_HOST, "cannot end what a killed monitor left: %s",
                        message);
            return FALSE;
        }
        hx_pause(LOOK_AGAIN_MILLISECONDS, NULL);
    }
}

gboolean hx_stale_qemu_end(HxVm *vm, GError **error)
{
    g_autofree char *uuid = uuid_of(vm);
    return !uuid || hx_qemu_end(uuid, error);
}

gboolean hx_stale_domain_check_name(HxVm *vm, virConnect *connection, GError **error)
{
    char found[VIR_UUID_STRING_BUFLEN];
    g_autofree char *uuid = uuid_of(vm);
    g_autofree char *name = hx_vm_domain_name(vm);
    g_autoptr(virDomain) domain = virDomainLookupByName(connection, name);
    if (!domain || virDomainGetUUIDString(domain, found) < 0 || g_strcmp0(found, uuid) == 0)
        return TRUE;
    g_set_error(error, HX_ERROR, HX_ERROR_HOST,
                "libvirt has a domain %s that is not of the VM in %s: another state directory has "
                "a VM of the same name; take another name, or end that domain with `virsh destroy "
                "%s`",
                name, hx_vm_state_path(vm, NULL), name);
    return FALSE;
}
