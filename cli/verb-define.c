/* SPDX-License-Identifier: GPL-2.0-or-later */
/* helixvm define: print the domain that `up` would start. */
#include <stdio.h>
#include <unistd.h>

#include "cli/profile-options.h"
#include "cli/verb.h"
#include "guest-provision/identity.h"
#include "launcher/base/error.h"
#include "launcher/domain/libvirt-connection.h"
#include "launcher/domain/vm-domain.h"

/* libvirt's translation to a QEMU command line. */
static gboolean print_argv(const char *xml, GError **error)
{
    g_autoptr(virConnect) connection = hx_libvirt_open(hx_verb_cancellable(), error);
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

/* The key of a VM that exists; a VM that does not gets one when it is started. */
static char *public_key(HxVm *vm, GError **error)
{
    char *key = NULL;
    if (!g_file_test(hx_vm_identity_path(vm), G_FILE_TEST_EXISTS))
        return g_strdup("ssh-ed25519 (made at the first start)");
    return hx_identity_ensure(hx_vm_identity_path(vm), &key, error) ? key : NULL;
}

static HxDisplayKind display(const HxProfile *profile, const char *render_node)
{
    const char *wanted = hx_profile_string(profile, "gpu.display");
    if (!hx_profile_boolean(profile, "gpu.enabled"))
        return HX_DISPLAY_NONE;
    if (g_str_equal(wanted, "egl-headless") || (g_str_equal(wanted, "auto") && render_node))
        return HX_DISPLAY_EGL_HEADLESS;
    return HX_DISPLAY_XVFB;
}

static HxVsockKind vsock(const HxProfile *profile)
{
    const char *wanted = hx_profile_string(profile, "vsock.device");
    gboolean has_kernel = access("/dev/vhost-vsock", R_OK | W_OK) == 0;
    return g_str_equal(wanted, "kernel") || (g_str_equal(wanted, "auto") && has_kernel)
               ? HX_VSOCK_KERNEL
               : HX_VSOCK_VHOST_USER;
}

/* The first accelerator of the profile's that `up` would try with any hope. */
static const char *accelerator(char **accelerators, const HxArchitecture *architecture)
{
    for (char **name = accelerators; *name; name++)
        if (hx_accelerator_exists(*name, architecture) &&
            (!g_str_equal(*name, "kvm") || access("/dev/kvm", R_OK | W_OK) == 0))
            return *name;
    return accelerators[0];
}

static gboolean define(HxVm *vm, const HxProfileOptions *options, gboolean as_argv, GError **error)
{
    g_autoptr(HxProfile) profile = hx_profile_options_load(options, vm, error);
    const HxArchitecture *architecture = profile ? hx_vm_architecture(profile, error) : NULL;
    g_autofree char *key = architecture ? public_key(vm, error) : NULL;
    if (!key)
        return FALSE;
    g_auto(GStrv) accelerators = hx_profile_list(profile, "machine.accelerators");
    g_autofree char *render_node = hx_render_node();
    g_autofree char *uuid = NULL;
    if (!g_file_get_contents(hx_vm_state_path(vm, "uuid"), &uuid, NULL, NULL))
        uuid = g_strdup("00000000-0000-4000-8000-000000000000"); /* made at the first start */
    HxVmDomain domain = {
        .uuid = g_strstrip(uuid),
        .accelerator = accelerator(accelerators, architecture),
        .display = display(profile, render_node),
        .x_display = ":0", /* the monitor's Xvfb takes a free number when it starts */
        .render_node = render_node ? render_node : "/dev/dri/renderD128",
        .vsock = vsock(profile),
        .notify_port = HX_NOTIFY_PORT,
        .public_key = key,
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
    if (!hx_verb_parse("[VM]", entries, &argc, &argv, 0, 1, error))
        return FALSE;
    if (format && !g_str_equal(format, "xml") && !g_str_equal(format, "argv")) {
        g_set_error(error, HX_ERROR, HX_ERROR_USAGE, "--format takes xml or argv, not \"%s\"",
                    format);
        return FALSE;
    }
    g_autoptr(HxVm) vm = hx_vm_open(hx_verb_vm_name(argc, argv, 1), error);
    return vm && define(vm, &options, format && g_str_equal(format, "argv"), error);
}
