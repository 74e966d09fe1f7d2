/* SPDX-License-Identifier: GPL-2.0-or-later */
/* helixvm define: print the domain that `up` would start. */
#include <stdio.h>
#include <unistd.h>

#include "cli/profile-options.h"
#include "cli/verb.h"
#include "guest-provision/identity.h"
#include "launcher/base/error.h"
#include "launcher/libvirt-connection.h"
#include "launcher/vm-domain.h"

/* libvirt's translation to a QEMU command line. */
static gboolean print_argv(const char *xml, GError **error)
{
    g_autoptr(virConnect) connection = hx_libvirt_open(error);
    if (!connection)
        return FALSE;
    char *arguments = virConnectDomainXMLToNative(connection, "qemu-argv", xml, 0);
    if (!arguments) {
        hx_libvirt_set_error(error, HX_ERROR_HOST, "libvirt cannot translate the domain");
        return FALSE;
    }
    puts(arguments);
    free(arguments);
    return TRUE;
}

static gboolean define(HxVm *vm, const HxProfileOptions *options, gboolean as_argv, GError **error)
{
    g_autoptr(HxProfile) profile = hx_profile_options_load(options, vm, error);
    if (!profile)
        return FALSE;
    g_autofree char *public_key = NULL;
    if (!hx_vm_create_directories(vm, error) ||
        !hx_identity_ensure(hx_vm_identity_path(vm), &public_key, error))
        return FALSE;
    g_auto(GStrv) accelerators = hx_profile_list(profile, "machine.accelerators");
    gboolean has_kvm = g_strv_contains((const char *const *)accelerators, "kvm") &&
                       access("/dev/kvm", R_OK | W_OK) == 0;
    g_autofree char *uuid = NULL;
    if (!g_file_get_contents(hx_vm_state_path(vm, "uuid"), &uuid, NULL, NULL))
        uuid = g_uuid_string_random();
    const char *display = hx_profile_string(profile, "gpu.display");
    gboolean render_node = access("/dev/dri/renderD128", R_OK | W_OK) == 0;
    HxVmDomain domain = {
        .uuid = g_strstrip(uuid),
        .accelerator = has_kvm ? "kvm" : "tcg",
        /* The monitor's Xvfb takes a free number when it starts. */
        .x_display = ":0",
        .render_node = "/dev/dri/renderD128",
        .display =
            !hx_profile_boolean(profile, "gpu.enabled") ? HX_DISPLAY_NONE
            : g_str_equal(display, "egl-headless") || (g_str_equal(display, "auto") && render_node)
                ? HX_DISPLAY_EGL_HEADLESS
                : HX_DISPLAY_XVFB,
        .vsock = g_str_equal(hx_profile_string(profile, "vsock.device"), "kernel") ||
                         (access("/dev/vhost-vsock", R_OK | W_OK) == 0 &&
                          !g_str_equal(hx_profile_string(profile, "vsock.device"), "vhost-user"))
                     ? HX_VSOCK_KERNEL
                     : HX_VSOCK_VHOST_USER,
        .notify_port = HX_NOTIFY_PORT,
        .public_key = public_key,
    };
    g_autofree char *xml = hx_vm_domain_xml(vm, profile, &domain, error);
    if (!xml)
        return FALSE;
    if (as_argv)
        return print_argv(xml, error);
    fputs(xml, stdout);
    return TRUE;
}

gboolean hx_verb_define(int argc, char **argv, GError **error)
{
    g_auto(HxProfileOptions) options = {0};
    g_autofree char *format = NULL;
    const GOptionEntry entries[] = {
        HX_PROFILE_OPTION_ENTRIES(options),
        {"format", 0, 0, G_OPTION_ARG_STRING, &format,
         "xml: libvirt's domain (the default); argv: libvirt's translation for QEMU", "xml|argv"},
        G_OPTION_ENTRY_NULL,
    };
    if (!hx_verb_parse("[NAME]", entries, &argc, &argv, 0, 1, error))
        return FALSE;
    if (format && !g_str_equal(format, "xml") && !g_str_equal(format, "argv")) {
        g_set_error(error, HX_ERROR, HX_ERROR_USAGE, "--format takes xml or argv, not \"%s\"",
                    format);
        return FALSE;
    }
    g_autoptr(HxVm) vm = hx_vm_open(hx_verb_vm_name(argc, argv, 1), error);
    return vm && define(vm, &options, format && g_str_equal(format, "argv"), error);
}
