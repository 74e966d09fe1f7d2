/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/domain/domain.h"

#include <libxml/xmlwriter.h>
#include <string.h>

#include "launcher/base/error.h"
#include "launcher/profile/extra-disk.h"
#include "launcher/profile/forward.h"
#include "launcher/profile/share.h"
#include "launcher/vm/seed.h"

#define QEMU_NAMESPACE "http://libvirt.org/schemas/domain/qemu/1.0"

/* Start element @name with the attributes that follow, name and value in turn, ended by NULL. */
static void start(xmlTextWriter *xml, const char *name, ...)
{
    xmlTextWriterStartElement(xml, BAD_CAST name);
    va_list attributes;
    va_start(attributes, name);
    const char *attribute;
    while ((attribute = va_arg(attributes, const char *))) {
        const char *value = va_arg(attributes, const char *);
        xmlTextWriterWriteAttribute(xml, BAD_CAST attribute, BAD_CAST value);
    }
    va_end(attributes);
}

static void end(xmlTextWriter *xml)
{
    xmlTextWriterEndElement(xml);
}

#define empty(xml, ...)                                                                            \
    do {                                                                                           \
        start(xml, __VA_ARGS__, NULL);                                                             \
        end(xml);                                                                                  \
    } while (0)

static void text(xmlTextWriter *xml, const char *name, const char *content)
{
    xmlTextWriterWriteElement(xml, BAD_CAST name, BAD_CAST content);
}

static gboolean is_emulated(const HxDomainParts *parts)
{
    return g_str_equal(parts->accelerator, "tcg");
}

static void write_memory(xmlTextWriter *xml, const HxProfile *profile, const HxDomainParts *parts)
{
    g_autofree char *cpus =
        g_strdup_printf("%" G_GINT64_FORMAT, hx_profile_integer(profile, "machine.cpus"));
    g_autofree char *memory =
        g_strdup_printf("%" G_GINT64_FORMAT, hx_profile_integer(profile, "machine.memory"));
    start(xml, "memory", "unit", "MiB", NULL);
    xmlTextWriterWriteString(xml, BAD_CAST memory);
    end(xml);
    /* vhost-user devices and blob resources need memory that other processes can map; macOS has no
     * memfd. */
    gboolean has_memfd = !g_str_equal(parts->accelerator, "hvf");
    start(xml, "memoryBacking", NULL);
    empty(xml, "source", "type", has_memfd ? "memfd" : "file");
    empty(xml, "access", "mode", "shared");
    end(xml);
    start(xml, "vcpu", "placement", "static", NULL);
    xmlTextWriterWriteString(xml, BAD_CAST cpus);
    end(xml);
}

/* systemd's credential @credential of SMBIOS, "io.systemd.credential[.binary]:NAME=VALUE", as it
 * takes it from fw_cfg. */
static void write_fwcfg_credential(xmlTextWriter *xml, const char *credential)
{
    const char *name = strchr(credential, ':');
    const char *equals = name ? strchr(name, '=') : NULL;
    if (!equals)
        return;
    g_autofree char *entry =
        g_strdup_printf("opt/io.systemd.credentials/%.*s", (int)(equals - name - 1), name + 1);
    g_autofree char *value = g_strdup(equals + 1);
    if (g_str_has_prefix(credential, "io.systemd.credential.binary:")) {
        gsize size = 0;
        g_autofree guchar *decoded = g_base64_decode(equals + 1, &size);
        g_free(value);
        /* One line of an option: its end of line would be the option's. */
        value = g_strchomp(g_strndup((const char *)decoded, size));
    }
    start(xml, "entry", "name", entry, NULL);
    xmlTextWriterWriteString(xml, BAD_CAST value);
    end(xml);
}

static gboolean has_smbios(const HxDomainParts *parts)
{
    return !parts->kernel || !parts->architecture->smbios_needs_firmware;
}

/* Arguments to the guest's kernel beside root= and console=, for g_free. */
static char *kernel_arguments(const HxProfile *profile, const HxDomainParts *parts)
{
    g_autoptr(GPtrArray) words = g_ptr_array_new();
    /* The console is a file: systemd would wait for its answer to the question how large it is. */
    g_ptr_array_add(words, "TERM=dumb");
    if (is_emulated(parts)) {
        /* There is no speculation to guard against, and the guards are slow to emulate. */
        g_ptr_array_add(words, "mitigations=off");
        /* QEMU's is one for all CPUs and never runs backwards, but the CPU does not say so: the
         * kernel would take the HPET, which leaves the translated code for each look at the time.
         * And it would count the timer's interrupts while it spins for 160 ms, and panic where QEMU
         * had no CPU for as long. */
        if (g_str_equal(parts->architecture->name, "x86_64"))
            g_ptr_array_add(words, "tsc=reliable no_timer_check");
    }
    const char *more = hx_profile_string(profile, "boot.cmdline");
    if (*more)
        g_ptr_array_add(words, (void *)more);
    g_ptr_array_add(words, NULL);
    return g_strjoinv(" ", (char **)words->pdata);
}

static void write_credentials(xmlTextWriter *xml, const HxProfile *profile,
                              const HxDomainParts *parts)
{
    gboolean smbios = has_smbios(parts);
    start(xml, "sysinfo", "type", smbios ? "smbios" : "fwcfg", NULL);
    if (smbios)
        start(xml, "oemStrings", NULL);
    for (const char *const *credential = parts->credentials; credential && *credential;
         credential++) {
        if (smbios)
            text(xml, "entry", *credential);
        else
            write_fwcfg_credential(xml, *credential);
    }
    if (!parts->kernel) {
        /* systemd-boot(7) adds it to what the boot loader's own entry says. */
        g_autofree char *arguments = kernel_arguments(profile, parts);
        g_autofree char *extra =
            g_strconcat("io.systemd.boot.kernel-cmdline-extra=", arguments, NULL);
        text(xml, "entry", extra);
    }
    if (smbios)
        end(xml);
    end(xml);
}

static void write_direct_boot(xmlTextWriter *xml, const HxProfile *profile,
                              const HxDomainParts *parts)
{
    g_autofree char *arguments = kernel_arguments(profile, parts);
    g_autofree char *cmdline = g_strdup_printf("root=%s rw console=%s %s", parts->root,
                                               parts->architecture->console, arguments);
    text(xml, "kernel", parts->kernel);
    text(xml, "initrd", parts->initrd);
    text(xml, "cmdline", cmdline);
}

/* libvirt finds the firmware by QEMU's descriptions of what is installed (docs/interop/firmware).
 */
static void write_firmware_boot(xmlTextWriter *xml, const HxDomainParts *parts)
{
    start(xml, "firmware", NULL);
    empty(xml, "feature", "enabled", "no", "name", "secure-boot");
    end(xml);
    text(xml, "nvram", parts->nvram);
    empty(xml, "boot", "dev", "hd");
}

static void write_os(xmlTextWriter *xml, const HxProfile *profile, const HxDomainParts *parts)
{
    const HxArchitecture *architecture = parts->architecture;
    start(xml, "os", parts->kernel ? NULL : "firmware", "efi", NULL);
    start(xml, "type", "arch", architecture->name, "machine", architecture->machine, NULL);
    xmlTextWriterWriteString(xml, BAD_CAST "hvm");
    end(xml);
    if (parts->kernel)
        write_direct_boot(xml, profile, parts);
    else
        write_firmware_boot(xml, parts);
    if (has_smbios(parts))
        empty(xml, "smbios", "mode", "sysinfo");
    end(xml);
}

static void write_machine(xmlTextWriter *xml, const HxProfile *profile, const HxDomainParts *parts)
{
    write_memory(xml, profile, parts);
    write_credentials(xml, profile, parts);
    write_os(xml, profile, parts);
    start(xml, "features", NULL);
    /* The interrupt controller of ARM: version 2 has no more than 8 CPUs. */
    gboolean is_arm = g_str_equal(parts->architecture->name, "aarch64");
    /* Without firmware, ARM's virt machine is described by a device tree. */
    if (!is_arm || !parts->kernel)
        empty(xml, "acpi");
    if (!is_arm)
        empty(xml, "apic");
    else if (!g_str_equal(parts->accelerator, "hvf"))
        empty(xml, "gic", "version", is_emulated(parts) ? "3" : "host");
    end(xml);
    start(xml, "cpu", "mode", is_emulated(parts) ? "maximum" : "host-passthrough", NULL);
    /* An emulated "rep movsb" goes byte by byte: without these a kernel copies by words. */
    static const char *const slow_when_emulated[] = {"erms", "fsrm"};
    for (size_t i = 0; i < G_N_ELEMENTS(slow_when_emulated); i++)
        if (is_emulated(parts) && !is_arm)
            empty(xml, "feature", "policy", "disable", "name", slow_when_emulated[i]);
    end(xml);
    empty(xml, "clock", "offset", "utc");
    text(xml, "on_poweroff", "destroy");
    text(xml, "on_reboot", "restart");
    text(xml, "on_crash", "destroy");
}

/* The base that a disk lies on.  It is everybody's to read and shared: libvirt is to leave its
 * owner alone. */
static void write_backing(xmlTextWriter *xml, const char *path)
{
    start(xml, "backingStore", "type", "file", NULL);
    empty(xml, "format", "type", "qcow2");
    start(xml, "source", "file", path, NULL);
    empty(xml, "seclabel", "model", "dac", "relabel", "no");
    end(xml);
    empty(xml, "backingStore");
    end(xml);
}

/* The virtio disk @device ("vda") in the qcow2 file @path, on @backing (NULL: on none); @serial may
 * be NULL. */
static void write_disk(xmlTextWriter *xml, const char *path, const char *backing,
                       const char *device, const char *serial)
{
    start(xml, "disk", "type", "file", "device", "disk", NULL);
    /* The host's page cache takes the writes; the guest's flushes reach the platter. */
    empty(xml, "driver", "name", "qemu", "type", "qcow2", "cache", "writeback", "discard", "unmap");
    empty(xml, "source", "file", path);
    if (backing)
        write_backing(xml, backing);
    empty(xml, "target", "dev", device, "bus", "virtio");
    if (serial)
        text(xml, "serial", serial);
    end(xml);
}

static void write_disks(xmlTextWriter *xml, const HxProfile *profile, const HxDomainParts *parts)
{
    write_disk(xml, parts->disk, parts->base, "vda", NULL);
    g_autoptr(GPtrArray) extra = hx_profile_extra_disks(profile);
    for (guint i = 0; i < extra->len; i++) {
        const HxExtraDisk *disk = extra->pdata[i];
        g_autofree char *file = hx_extra_disk_file(disk->name);
        g_autofree char *path = g_build_filename(parts->extra_disk_directory, file, NULL);
        const char device[] = {'v', 'd', 'b' + i, '\0'};
        write_disk(xml, path, NULL, device, disk->name);
    }
}

static void write_seed(xmlTextWriter *xml, const char *path)
{
    start(xml, "disk", "type", "file", "device", "disk", NULL);
    empty(xml, "driver", "name", "qemu", "type", "raw");
    empty(xml, "source", "file", path);
    /* Behind all of disk.extra. */
    empty(xml, "target", "dev", "vdj", "bus", "virtio");
    text(xml, "serial", HX_SEED_SERIAL);
    empty(xml, "readonly");
    end(xml);
}

static void write_shares(xmlTextWriter *xml, const GPtrArray *shares)
{
    for (guint i = 0; shares && i < shares->len; i++) {
        const HxShare *share = shares->pdata[i];
        start(xml, "filesystem", "type", "mount", "accessmode", "passthrough", NULL);
        empty(xml, "driver", "type", "virtiofs");
        empty(xml, "source", "dir", share->path);
        empty(xml, "target", "dir", share->tag);
        if (share->read_only)
            empty(xml, "readonly");
        end(xml);
    }
}

static void write_forward(xmlTextWriter *xml, const HxForward *forward)
{
    g_autofree char *host_port = g_strdup_printf("%u", forward->host_port);
    g_autofree char *guest_port = g_strdup_printf("%u", forward->guest_port);
    start(xml, "portForward", "proto", forward->udp ? "udp" : "tcp", "address", "127.0.0.1", NULL);
    empty(xml, "range", "start", host_port, "to", guest_port);
    end(xml);
}

static void write_network(xmlTextWriter *xml, const HxProfile *profile)
{
    if (!g_str_equal(hx_profile_string(profile, "network.mode"), "user"))
        return;
    g_autoptr(GPtrArray) forwards = hx_profile_forwards(profile);
    start(xml, "interface", "type", "user", NULL);
    /* Of the two user mode networks that libvirt knows, only passt forwards ports. */
    if (forwards->len > 0)
        empty(xml, "backend", "type", "passt");
    empty(xml, "model", "type", "virtio");
    /* Nothing boots from the network, and an emulated firmware takes its time to run the ROM. */
    empty(xml, "rom", "enabled", "no");
    for (guint i = 0; i < forwards->len; i++)
        write_forward(xml, forwards->pdata[i]);
    end(xml);
}

/* QEMU connects, and does so again after an encoder's end: the socket outlives the encoder. */
static void write_encoder_port(xmlTextWriter *xml, const char *path)
{
    start(xml, "channel", "type", "unix", NULL);
    start(xml, "source", "mode", "connect", "path", path, NULL);
    empty(xml, "reconnect", "enabled", "yes", "timeout", "1");
    end(xml);
    empty(xml, "target", "type", "virtio", "name", "com.helix.frame-export");
    end(xml);
}

static void write_display(xmlTextWriter *xml, const HxDomainParts *parts)
{
    switch (parts->display) {
    case HX_DISPLAY_NONE:
        start(xml, "video", NULL);
        empty(xml, "model", "type", "none");
        end(xml);
        return;
    case HX_DISPLAY_XVFB:
        start(xml, "graphics", "type", "sdl", "display", parts->x_display, "xauth",
              parts->x_authority, NULL);
        empty(xml, "gl", "enable", "yes");
        end(xml);
        break;
    case HX_DISPLAY_EGL_HEADLESS:
        start(xml, "graphics", "type", "egl-headless", NULL);
        empty(xml, "gl", "rendernode", parts->render_node);
        end(xml);
        break;
    }
    start(xml, "video", NULL);
    /* libvirt's blob='on' wants /dev/udmabuf; without it the property itself does: see below. */
    start(xml, "model", "type", "virtio", "heads", "1", "primary", "yes",
          parts->udmabuf ? "blob" : NULL, "on", NULL);
    empty(xml, "acceleration", "accel3d", "yes");
    end(xml);
    end(xml);
}

static void write_devices(xmlTextWriter *xml, const HxProfile *profile, const HxDomainParts *parts)
{
    start(xml, "devices", NULL);
    write_disks(xml, profile, parts);
    if (parts->seed)
        write_seed(xml, parts->seed);
    write_shares(xml, parts->shares);
    empty(xml, "controller", "type", "usb", "model", "none");
    write_network(xml, profile);
    start(xml, "serial", "type", "file", NULL);
    empty(xml, "source", "path", parts->console_log, "append", "off");
    empty(xml, "target", "port", "0");
    end(xml);
    if (parts->encoder_socket)
        write_encoder_port(xml, parts->encoder_socket);
    write_display(xml, parts);
    empty(xml, "memballoon", "model", "none");
    start(xml, "rng", "model", "virtio", NULL);
    start(xml, "backend", "model", "random", NULL);
    xmlTextWriterWriteString(xml, BAD_CAST "/dev/urandom");
    end(xml);
    end(xml);
    if (parts->vsock == HX_VSOCK_KERNEL) {
        start(xml, "vsock", "model", "virtio", NULL);
        empty(xml, "cid", "auto", "yes");
        end(xml);
    }
    end(xml);
}

/* QEMU takes its option values with "," doubled. */
static char *escape_option(const char *value)
{
    g_auto(GStrv) pieces = g_strsplit(value, ",", -1);
    return g_strjoinv(",,", pieces);
}

/* What libvirt has no element for: the vhost-user vsock device and the preloaded module. */
static void write_qemu_arguments(xmlTextWriter *xml, const HxDomainParts *parts)
{
    gboolean vhost_user = parts->vsock == HX_VSOCK_VHOST_USER;
    if (!vhost_user && !parts->export_module)
        return;
    start(xml, "qemu:commandline", NULL);
    if (vhost_user) {
        g_autofree char *path = escape_option(parts->vsock_socket);
        g_autofree char *chardev = g_strdup_printf("socket,id=helixvm-vsock,path=%s", path);
        empty(xml, "qemu:arg", "value", "-chardev");
        empty(xml, "qemu:arg", "value", chardev);
        empty(xml, "qemu:arg", "value", "-device");
        /* libvirt gives out slots from the lowest on and does not know of this one. */
        empty(xml, "qemu:arg", "value",
              "vhost-user-vsock-pci,chardev=helixvm-vsock,bus=pcie.0,addr=0x18");
    }
    if (parts->export_module) {
        empty(xml, "qemu:env", "name", "LD_PRELOAD", "value", parts->export_module);
        empty(xml, "qemu:env", "name", "HELIXVM_EXPORT_SOCKET", "value", parts->export_socket);
    }
    end(xml);
}

static void write_property(xmlTextWriter *xml, const char *name, const char *type,
                           const char *value)
{
    empty(xml, "qemu:property", "name", name, "type", type, "value", value);
}

/* Venus and its window for host memory, which libvirt does not know. */
static void write_qemu_override(xmlTextWriter *xml, const HxProfile *profile,
                                const HxDomainParts *parts)
{
    gboolean venus = hx_profile_boolean(profile, "gpu.venus");
    if (!venus && parts->udmabuf)
        return;
    g_autofree char *hostmem = g_strdup_printf(
        "%" G_GINT64_FORMAT, hx_profile_integer(profile, "gpu.hostmem") * 1024 * 1024);
    start(xml, "qemu:override", NULL);
    start(xml, "qemu:device", "alias", "video0", NULL);
    start(xml, "qemu:frontend", NULL);
    if (!parts->udmabuf)
        write_property(xml, "blob", "bool", "true");
    if (venus) {
        write_property(xml, "venus", "bool", "true");
        write_property(xml, "hostmem", "unsigned", hostmem);
    }
    end(xml);
    end(xml);
    end(xml);
}

/* Without this capability libvirt asks QEMU for an x86 guest's CPUID words, in place of each of
 * some 400 properties of its CPU, which QEMU reads byte by byte: several tenths of a second. */
static void write_qemu_capabilities(xmlTextWriter *xml)
{
    start(xml, "qemu:capabilities", NULL);
    empty(xml, "qemu:del", "capability", "cpu-unavailable-features");
    end(xml);
}

char *hx_domain_xml(const HxProfile *profile, const HxDomainParts *parts, GError **error)
{
    xmlBuffer *buffer = xmlBufferCreate();
    xmlTextWriter *xml = buffer ? xmlNewTextWriterMemory(buffer, 0) : NULL;
    if (!xml) {
        xmlBufferFree(buffer);
        g_set_error_literal(error, HX_ERROR, HX_ERROR_FAILED, "libxml2 cannot write the domain");
        return NULL;
    }
    xmlTextWriterSetIndent(xml, 1);
    xmlTextWriterSetIndentString(xml, BAD_CAST "  ");
    /* libvirt's word for an emulated guest is the emulator's name. */
    start(xml, "domain", "type", is_emulated(parts) ? "qemu" : parts->accelerator, "xmlns:qemu",
          QEMU_NAMESPACE, NULL);
    text(xml, "name", parts->name);
    text(xml, "uuid", parts->uuid);
    write_machine(xml, profile, parts);
    write_devices(xml, profile, parts);
    write_qemu_arguments(xml, parts);
    if (g_str_equal(parts->architecture->name, "x86_64") && is_emulated(parts))
        write_qemu_capabilities(xml);
    if (parts->display != HX_DISPLAY_NONE)
        write_qemu_override(xml, profile, parts);
    end(xml);
    int r = xmlTextWriterEndDocument(xml);
    xmlFreeTextWriter(xml); /* flushes into the buffer */
    char *result = r < 0 ? NULL : g_strdup((const char *)xmlBufferContent(buffer));
    xmlBufferFree(buffer);
    if (!result)
        g_set_error_literal(error, HX_ERROR, HX_ERROR_FAILED, "libxml2 cannot write the domain");
    return result;
}
