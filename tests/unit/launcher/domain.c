/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Each built-in profile as a domain: against its golden file, and against libvirt's schema.
 * HELIXVM_UPDATE_GOLDEN=1 writes the golden files anew, to be read before they are committed. */
#include "launcher/domain/domain.h"

#include <gio/gio.h>
#include <glib/gstdio.h>
#include <libxml/parser.h>
#include <libxml/xpath.h>
#include <libxml/xpathInternals.h>
#include <string.h>

#include "launcher/base/process.h"

static const char *const credentials[] = {
    "io.systemd.credential.binary:ssh.authorized_keys.root=c3NoLWVkMjU1MTkgQQo=",
    "io.systemd.credential:vmm.notify_socket=vsock-stream:2:5009",
    NULL,
};

static HxDomainParts parts(void)
{
    return (HxDomainParts){
        .name = "helixvm-golden",
        .uuid = "6a1b9f2e-4c58-4b0e-9d5b-6f4c1a1f0d11",
        .accelerator = "tcg",
        .architecture = hx_architecture("x86_64"),
        .kernel = "/state/images/default/kernel",
        .initrd = "/state/images/default/initrd",
        .root = "/dev/vda",
        .nvram = "/state/vms/golden/nvram.fd",
        .disk = "/state/vms/golden/disk.qcow2",
        .base = "/state/images/default/disk.qcow2",
        .extra_disk_directory = "/state/vms/golden",
        .console_log = "/state/vms/golden/console.log",
        .display = HX_DISPLAY_XVFB,
        .x_display = ":0",
        .x_authority = "/run/helixvm/golden/qemu/xauthority",
        .render_node = "/dev/dri/renderD128",
        .vsock = HX_VSOCK_VHOST_USER,
        .vsock_socket = "/run/helixvm/golden/vsock-device.sock",
        .credentials = credentials,
        .export_module = "/state/vms/golden/libhelixvm-export.so",
        .export_socket = "/run/helixvm/golden/qemu/export.sock",
    };
}

static void assert_valid(const char *xml)
{
    g_autofree char *path = NULL;
    int fd = g_file_open_tmp("helixvm-domain-XXXXXX.xml", &path, NULL);
    g_assert_cmpint(fd, >=, 0);
    g_close(fd, NULL);
    g_assert_true(g_file_set_contents(path, xml, -1, NULL));
    g_autoptr(GError) error = NULL;
    const char *const argv[] = {"virt-xml-validate", path, "domain", NULL};
    hx_process_run(argv, NULL, NULL, &error);
    g_assert_no_error(error);
    g_unlink(path);
}

/* What `up` makes of @profile on a host that has all that it wants, and no render node for "auto".
 */
static void choose_parts(HxDomainParts *given, const HxProfile *profile)
{
    const char *architecture = hx_profile_string(profile, "machine.arch");
    g_auto(GStrv) accelerators = hx_profile_list(profile, "machine.accelerators");
    if (!g_str_equal(architecture, "auto"))
        given->architecture = hx_architecture(architecture);
    if (!accelerators[1])
        given->accelerator = hx_profile_string(profile, "machine.accelerators");
    if (g_str_equal(hx_profile_string(profile, "boot.mode"), "firmware"))
        given->kernel = given->initrd = NULL;
    if (g_str_equal(hx_profile_string(profile, "gpu.display"), "egl-headless"))
        given->display = HX_DISPLAY_EGL_HEADLESS;
    if (!hx_profile_boolean(profile, "gpu.enabled")) {
        given->display = HX_DISPLAY_NONE;
        given->export_module = NULL;
    }
}

/* The domain of @profile is what the golden file @golden_name has. */
static void assert_golden(const HxProfile *profile, const char *golden_name)
{
    g_autofree char *golden_path = g_build_filename("tests", "golden", golden_name, NULL);
    g_autoptr(GError) error = NULL;
    HxDomainParts given = parts();
    choose_parts(&given, profile);
    g_autoptr(GPtrArray) shares = hx_profile_shares(profile);
    given.shares = shares;
    if (g_str_equal(hx_profile_string(profile, "boot.seed"), "nocloud"))
        given.seed = "/state/vms/golden/seed.iso";
    if (hx_profile_boolean(profile, "encoder.serial"))
        given.encoder_socket = "/run/helixvm/golden/encoder-serial.sock";
    g_autofree char *xml = hx_domain_xml(profile, &given, &error);
    g_assert_no_error(error);
    assert_valid(xml);
    if (g_getenv("HELIXVM_UPDATE_GOLDEN"))
        g_assert_true(g_file_set_contents(golden_path, xml, -1, NULL));
    g_autofree char *golden = NULL;
    g_file_get_contents(golden_path, &golden, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(xml, ==, golden);
}

static void test_golden(const void *data)
{
    const char *file = data;
    g_autofree char *profile_path = g_build_filename("qemu-profiles", file, NULL);
    g_autofree char *golden_name = g_strdup_printf("%.*s.xml", (int)strcspn(file, "."), file);
    g_autoptr(HxProfile) profile = hx_profile_new();
    g_assert_true(hx_profile_merge_file(profile, profile_path, NULL));
    assert_golden(profile, golden_name);
}

/* Everything that a VM can be given besides. */
static void test_all_devices(void)
{
    g_autoptr(HxProfile) profile = hx_profile_new();
    static const char *const settings[] = {
        "boot.seed=nocloud",
        "disk.extra=data:10;logs:1",
        "encoder.serial=true",
        "network.forward=tcp:8080:80;udp:5300:53",
        "share.folders=work:/home/me/work;docs:/usr/share/doc:ro",
    };
    for (size_t i = 0; i < G_N_ELEMENTS(settings); i++)
        g_assert_true(hx_profile_merge_setting(profile, settings[i], NULL));
    assert_golden(profile, "all-devices.xml");
}

/* The value of the XPath @expression over @xml; for g_free. */
static char *value_of(const char *xml, const char *expression)
{
    xmlDoc *document = xmlReadDoc(BAD_CAST xml, NULL, NULL, XML_PARSE_NONET);
    g_assert_nonnull(document);
    xmlXPathContext *context = xmlXPathNewContext(document);
    xmlXPathRegisterNs(context, BAD_CAST "qemu",
                       BAD_CAST "http://libvirt.org/schemas/domain/qemu/1.0");
    xmlXPathObject *found = xmlXPathEvalExpression(BAD_CAST expression, context);
    g_assert_nonnull(found);
    char *value = (char *)xmlXPathCastToString(found);
    xmlXPathFreeObject(found);
    xmlXPathFreeContext(context);
    xmlFreeDoc(document);
    return value;
}

static void assert_value(const char *xml, const char *expression, const char *expected)
{
    g_autofree char *value = value_of(xml, expression);
    g_assert_cmpstr(value, ==, expected);
}

/* Text of the user's is text in XML, and no option to QEMU. */
static void test_hostile_text(void)
{
    g_autoptr(HxProfile) profile = hx_profile_new();
    const char *cmdline = "a=\"<b>&amp;'</cmdline>\"";
    g_autofree char *setting = g_strconcat("boot.cmdline=", cmdline, NULL);
    g_assert_true(hx_profile_merge_setting(profile, setting, NULL));
    HxDomainParts given = parts();
    given.vsock_socket = "/run/a,path=/etc/passwd";
    g_autofree char *xml = hx_domain_xml(profile, &given, NULL);
    assert_valid(xml);
    g_autofree char *whole = g_strconcat(
        "root=/dev/vda rw console=ttyS0 TERM=dumb mitigations=off tsc=reliable no_timer_check ",
        cmdline, NULL);
    assert_value(xml, "/domain/os/cmdline", whole);
    assert_value(xml, "/domain/qemu:commandline/qemu:arg[2]/@value",
                 "socket,id=helixvm-vsock,path=/run/a,,path=/etc/passwd");
}

static void test_without_gpu(void)
{
    g_autoptr(HxProfile) profile = hx_profile_new();
    HxDomainParts given = parts();
    given.display = HX_DISPLAY_NONE;
    given.export_module = NULL;
    g_autofree char *xml = hx_domain_xml(profile, &given, NULL);
    assert_valid(xml);
    assert_value(xml, "count(/domain/qemu:override)", "0");
    assert_value(xml, "count(/domain/qemu:commandline/qemu:env)", "0");
    assert_value(xml, "/domain/devices/video/model/@type", "none");
}

static void test_host_gpu_and_kernel_vsock(void)
{
    g_autoptr(HxProfile) profile = hx_profile_new();
    HxDomainParts given = parts();
    given.display = HX_DISPLAY_EGL_HEADLESS;
    given.vsock = HX_VSOCK_KERNEL;
    given.accelerator = "kvm";
    given.udmabuf = TRUE;
    g_autofree char *xml = hx_domain_xml(profile, &given, NULL);
    assert_valid(xml);
    assert_value(xml, "/domain/@type", "kvm");
    assert_value(xml, "/domain/cpu/@mode", "host-passthrough");
    assert_value(xml, "/domain/devices/vsock/cid/@auto", "yes");
    assert_value(xml, "/domain/devices/video/model/@blob", "on");
    assert_value(xml, "count(//qemu:property[@name='blob'])", "0");
    assert_value(xml, "count(/domain/qemu:commandline/qemu:arg)", "0");
    assert_value(xml, "/domain/devices/graphics/gl/@rendernode", "/dev/dri/renderD128");
}

static void test_firmware(void)
{
    g_autoptr(HxProfile) profile = hx_profile_new();
    HxDomainParts given = parts();
    given.kernel = given.initrd = NULL;
    g_assert_true(hx_profile_merge_setting(profile, "boot.cmdline=a=\"b\" c", NULL));
    g_autofree char *xml = hx_domain_xml(profile, &given, NULL);
    assert_valid(xml);
    assert_value(xml, "/domain/os/@firmware", "efi");
    assert_value(xml, "/domain/os/nvram", given.nvram);
    assert_value(xml, "/domain/os/firmware/feature[@name='secure-boot']/@enabled", "no");
    assert_value(xml, "count(/domain/os/kernel|/domain/os/initrd|/domain/os/cmdline)", "0");
    assert_value(xml, "/domain/sysinfo/oemStrings/entry[3]",
                 "io.systemd.boot.kernel-cmdline-extra=TERM=dumb mitigations=off tsc=reliable "
                 "no_timer_check a=\"b\" c");
}

/* Without firmware an ARM machine has no SMBIOS: credentials go by fw_cfg, and the console is
 * another one. */
static void test_aarch64_direct(void)
{
    g_autoptr(HxProfile) profile = hx_profile_new();
    HxDomainParts given = parts();
    given.architecture = hx_architecture("aarch64");
    g_autofree char *xml = hx_domain_xml(profile, &given, NULL);
    assert_valid(xml);
    assert_value(xml, "/domain/os/type/@machine", "virt");
    assert_value(xml, "/domain/os/cmdline",
                 "root=/dev/vda rw console=ttyAMA0 TERM=dumb mitigations=off quiet loglevel=5");
    assert_value(xml, "/domain/sysinfo/@type", "fwcfg");
    assert_value(xml, "/domain/sysinfo/entry[@name='opt/io.systemd.credentials/vmm.notify_socket']",
                 "vsock-stream:2:5009");
    assert_value(xml,
                 "/domain/sysinfo/entry[@name='opt/io.systemd.credentials/"
                 "ssh.authorized_keys.root']",
                 "ssh-ed25519 A");
    assert_value(xml, "count(/domain/features/acpi|/domain/os/smbios)", "0");
}

static void test_accelerators(void)
{
    const HxArchitecture *own = hx_architecture_of_host();
    for (const char *const *name = (const char *const[]){"x86_64", "aarch64", NULL}; *name;
         name++) {
        const HxArchitecture *architecture = hx_architecture(*name);
        g_assert_true(hx_accelerator_exists("tcg", architecture));
        g_assert_cmpint(hx_accelerator_exists("kvm", architecture), ==, architecture == own);
        g_assert_false(hx_accelerator_exists("hvf", architecture));
    }
    g_assert_null(hx_architecture("vax"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_autoptr(GDir) directory = g_dir_open("qemu-profiles", 0, NULL);
    g_assert_nonnull(directory);
    const char *file;
    while ((file = g_dir_read_name(directory))) {
        if (!g_str_has_suffix(file, ".conf"))
            continue;
        g_autofree char *name = g_strconcat("/domain/golden/", file, NULL);
        g_test_add_data_func_full(name, g_strdup(file), test_golden, g_free);
    }
    g_test_add_func("/domain/golden/all-devices", test_all_devices);
    g_test_add_func("/domain/hostile-text", test_hostile_text);
    g_test_add_func("/domain/without-gpu", test_without_gpu);
    g_test_add_func("/domain/host-gpu-and-kernel-vsock", test_host_gpu_and_kernel_vsock);
    g_test_add_func("/domain/firmware", test_firmware);
    g_test_add_func("/domain/aarch64-direct", test_aarch64_direct);
    g_test_add_func("/domain/accelerators", test_accelerators);
    return g_test_run();
}
