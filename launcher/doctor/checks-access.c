/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What may reach what: vsock, and the access control that libvirt confines QEMU with. */
#include <linux/vm_sockets.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "launcher/base/directories.h"
#include "launcher/base/error.h"
#include "launcher/base/parts.h"
#include "launcher/doctor/apparmor-rules.h"
#include "launcher/doctor/host-check.h"
#include "launcher/doctor/trial.h"
#include "launcher/domain/vm-domain.h"
#include "launcher/host/kernel-vsock.h"

#define TRIAL_SECONDS 10
#define LOCAL_RULES "/etc/apparmor.d/local/abstractions/libvirt-qemu"

/* --- vsock --------------------------------------------------------------------------------------
 */

void hx_check_vsock(HxHost *host, HxHostFinding *finding)
{
    const char *wanted = hx_profile_string(host->profile, "vsock.device");
    g_autoptr(GError) kernel_error = NULL;
    g_autoptr(GError) error = NULL;
    if (!g_str_equal(wanted, "vhost-user")) {
        int fd = hx_kernel_vsock_listen(VMADDR_PORT_ANY, &kernel_error);
        if (fd >= 0) {
            close(fd);
            hx_host_fine(finding, "the kernel's vhost-vsock");
            return;
        }
        if (g_str_equal(wanted, "kernel")) {
            hx_host_broken(finding, g_strdup("modprobe vhost_vsock"),
                           "the profile wants "
                           "vsock.device=kernel: %s",
                           kernel_error->message);
            return;
        }
    }
    g_autofree char *path = hx_part_path("helixvm-vsock", &error);
    const char *const argv[] = {path, "--help", NULL};
    g_autoptr(HxTrial) trial = path ? hx_trial_start(argv, NULL, NULL, &error) : NULL;
    if (!trial || !hx_trial_await(trial, NULL, TRIAL_SECONDS, &error))
        hx_host_broken(finding, g_strdup("make install"), "%s", error->message);
    else if (kernel_error)
        hx_host_fine(finding, "helixvm-vsock, in place of the kernel's (%s)",
                     kernel_error->message);
    else
        hx_host_fine(finding, "helixvm-vsock");
}

/* --- AppArmor -----------------------------------------------------------------------------------
 */

/* Whether libvirt confines QEMU by @model, as its capabilities say. */
static gboolean libvirt_confines_by(HxHost *host, const char *model)
{
    virConnect *connection = hx_host_libvirt(host, NULL);
    char *capabilities = connection ? virConnectGetCapabilities(connection) : NULL;
    g_autofree char *element = g_strdup_printf("<model>%s</model>", model);
    gboolean found = capabilities && strstr(capabilities, element);
    free(capabilities);
    return found;
}

/* What every VM's profile includes; administrators add to the last. */
static char *libvirt_rules(void)
{
    static const char *const files[] = {"/etc/apparmor.d/libvirt/TEMPLATE.qemu",
                                        "/etc/apparmor.d/abstractions/libvirt-qemu", LOCAL_RULES,
                                        NULL};
    GString *all = g_string_new(NULL);
    for (const char *const *file = files; *file; file++) {
        g_autofree char *text = NULL;
        if (g_file_get_contents(*file, &text, NULL, NULL))
            g_string_append_printf(all, "%s\n", text);
    }
    return g_string_free(all, FALSE);
}

void hx_check_apparmor(HxHost *host, HxHostFinding *finding)
{
    g_autofree char *enabled = NULL;
    if (!g_file_get_contents("/sys/module/apparmor/parameters/enabled", &enabled, NULL, NULL) ||
        *enabled != 'Y') {
        hx_host_fine(finding, "not in use");
        return;
    }
    if (!libvirt_confines_by(host, "apparmor")) {
        hx_host_fine(finding, "in use, but libvirt does not confine QEMU by it");
        return;
    }
    g_autofree char *rules = libvirt_rules();
    g_autofree char *state = hx_state_directory(NULL);
    g_autofree char *runtime = hx_runtime_directory(NULL);
    g_autofree char *missing = state && runtime ? hx_apparmor_missing(rules, state, runtime) : NULL;
    if (!missing) {
        hx_host_fine(finding, "libvirt's rules for QEMU allow what helixvm adds");
        return;
    }
    g_auto(GStrv) lines = g_strsplit(missing, "\n", -1);
    g_autofree char *arguments = g_strjoinv("' '", lines);
    char *remedy = g_strdup_printf("printf '  %%s\\n' '%s' >>%s", arguments, LOCAL_RULES);
    hx_host_broken(finding, remedy,
                   "libvirt's rules keep QEMU from helixvm's module or from its sockets");
}

/* --- SELinux ------------------------------------------------------------------------------------
 */

void hx_check_selinux(HxHost *host, HxHostFinding *finding)
{
    g_autofree char *enforcing = NULL;
    if (!g_file_get_contents("/sys/fs/selinux/enforce", &enforcing, NULL, NULL)) {
        hx_host_fine(finding, "not in use");
        return;
    }
    if (*enforcing != '1' || !libvirt_confines_by(host, "selinux")) {
        hx_host_fine(finding, "in use, but %s",
                     *enforcing == '1' ? "libvirt does not confine QEMU by it"
                                       : "it only warns (permissive)");
        return;
    }
    hx_host_degraded(finding,
                     g_strdup("ausearch -m avc -c qemu-system-x86 | audit2allow -M helixvm && "
                              "semodule -i helixvm.pp"),
                     "it enforces: its policy may keep QEMU from helixvm's module and sockets; "
                     "where `helixvm up` fails, allow what was denied");
}
