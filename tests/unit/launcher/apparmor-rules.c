/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/doctor/apparmor-rules.h"

static const char libvirt_qemu[] = "  #include <abstractions/base>\n"
                                   "  capability chown,\n"
                                   "  network inet stream,\n"
                                   "  /dev/kvm rw,\n"
                                   "  @{PROC}/*/status r,\n"
                                   "  owner /tmp/pulse-*/* rw,\n"
                                   "  /etc/libnl{,-3}/classid r,\n"
                                   "  /usr/share/OVMF/** rk, # firmware\n"
                                   "  /usr/bin/qemu-system-x86_64 rmix,\n"
                                   "  /sys/devices/**/usb[0-9]*/** r,\n"
                                   "  \"/var/lib/with blank/*.so\" mr,\n"
                                   "  /var/lib/helixvm/vms/*/libhelixvm-export.so mr,\n"
                                   "  #/dev/fb0 rw,\n"
                                   "  /srv/** rw,\n"
                                   "  deny /srv/secret/** w,\n"
                                   "  /etc/c++ r,\n";

static void test_rules(void)
{
    static const struct {
        const char *path, *permissions;
        gboolean allowed;
    } cases[] = {
        {"/dev/kvm", "rw", TRUE},
        {"/dev/kvm", "rwm", FALSE},
        {"/dev/kvmx", "r", FALSE},
        {"/x/dev/kvm", "r", FALSE},
        {"/tmp/pulse-1/a", "rw", TRUE},
        {"/tmp/pulse-1/a/b", "rw", FALSE}, /* one * does not cross '/' */
        {"/etc/libnl/classid", "r", TRUE},
        {"/etc/libnl-3/classid", "r", TRUE},
        {"/etc/libnl-4/classid", "r", FALSE},
        {"/usr/share/OVMF/a/b", "r", TRUE},
        {"/usr/bin/qemu-system-x86_64", "x", TRUE},
        {"/usr/bin/qemu-system-x86_64", "w", FALSE},
        {"/sys/devices/pci/0/usb7/x", "r", TRUE},
        {"/var/lib/with blank/a.so", "m", TRUE},
        {"/var/lib/with blank/a_so", "m", FALSE}, /* a dot is a dot */
        {"/var/lib/helixvm/vms/a/libhelixvm-export.so", "mr", TRUE},
        {"/var/lib/helixvm/vms/a/b/libhelixvm-export.so", "mr", FALSE},
        {"/dev/fb0", "r", FALSE}, /* a comment */
        {"/srv/open", "rw", TRUE},
        {"/srv/secret/a", "r", TRUE},
        {"/srv/secret/a", "rw", FALSE}, /* denied */
        {"/etc/c++", "r", TRUE},
        {"/proc/1/status", "r", FALSE}, /* a variable */
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_test_message("%s %s", cases[i].path, cases[i].permissions);
        g_assert_cmpint(hx_apparmor_allows(libvirt_qemu, cases[i].path, cases[i].permissions), ==,
                        cases[i].allowed);
    }
    g_assert_false(hx_apparmor_allows("", "/a", "r"));
    g_assert_false(hx_apparmor_allows("/[ rw,\n/{a rw,\n", "/a", "r")); /* broken patterns */
}

/* What is missing, once it is added, is not missing any more. */
static void test_missing(void)
{
    g_autofree char *first = hx_apparmor_missing(libvirt_qemu, "/var/lib/helixvm", "/run/helixvm");
    g_assert_cmpstr(first, ==,
                    "/run/helixvm/*/vsock-device.sock rw,\n"
                    "/run/helixvm/*/qemu/* rw,\n"
                    "/usr/libexec/virgl_render_server rmix,");
    g_autofree char *mended = g_strconcat(libvirt_qemu, first, "\n", NULL);
    g_assert_null(hx_apparmor_missing(mended, "/var/lib/helixvm", "/run/helixvm"));
    g_autofree char *elsewhere = hx_apparmor_missing(mended, "/home/a/vms", "/run/helixvm");
    g_assert_cmpstr(elsewhere, ==, "/home/a/vms/vms/*/libhelixvm-export.so mr,");
    g_autofree char *denied = g_strconcat(mended, "deny /run/helixvm/** w,\n", NULL);
    g_autofree char *kept = hx_apparmor_missing(denied, "/var/lib/helixvm", "/run/helixvm");
    g_assert_cmpstr(kept, ==, "/run/helixvm/*/vsock-device.sock rw,\n/run/helixvm/*/qemu/* rw,");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/apparmor-rules/rules", test_rules);
    g_test_add_func("/apparmor-rules/missing", test_missing);
    return g_test_run();
}
