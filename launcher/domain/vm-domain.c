/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/domain/vm-domain.h"

#include <string.h>
#include <unistd.h>

#include "launcher/base/directories.h"
#include "launcher/base/error.h"
#include "launcher/image/image.h"
#include "launcher/profile/share.h"
#include "launcher/vm/seed.h"

char *hx_render_node(void)
{
    for (int minor = 128; minor < 136; minor++) {
        char *path = g_strdup_printf("/dev/dri/renderD%d", minor);
        if (access(path, R_OK | W_OK) == 0)
            return path;
        g_free(path);
    }
    return NULL;
}

char *hx_vm_domain_name(HxVm *vm)
{
    return g_strdup_printf("helixvm-%s", hx_vm_name(vm));
}

/* systemd.system-credentials(7): where the guest reports, whom its root admits, and what it
 * mounts. */
static char **credentials(const HxProfile *profile, const HxVmDomain *domain)
{
    g_autofree char *line = g_strconcat(domain->public_key, "\n", NULL);
    g_autofree char *key = g_base64_encode((const guchar *)line, strlen(line));
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    g_strv_builder_take(
        builder, g_strdup_printf("io.systemd.credential.binary:ssh.authorized_keys.root=%s", key));
    g_strv_builder_take(builder,
                        g_strdup_printf("io.systemd.credential:vmm.notify_socket=vsock-stream:2:%u",
                                        domain->notify_port));
    g_autoptr(GPtrArray) shares = hx_profile_shares(profile);
    if (shares->len > 0) {
        g_autofree char *fstab = hx_shares_fstab(shares);
        g_autofree char *lines = g_base64_encode((const guchar *)fstab, strlen(fstab));
        g_strv_builder_take(builder,
                            g_strdup_printf("io.systemd.credential.binary:fstab.extra=%s", lines));
    }
    return g_strv_builder_end(builder);
}

static const HxArchitecture *check_architecture(const HxProfile *profile, const HxImage *image,
                                                GError **error)
{
    const char *wanted = hx_profile_string(profile, "machine.arch");
    const char *has = hx_image_architecture(image);
    if (g_str_equal(wanted, "auto") || g_str_equal(wanted, has))
        return hx_architecture(has);
    g_set_error(error, HX_ERROR, HX_ERROR_CONFIG,
                "image \"%s\" is for %s, but machine.arch is %s: make one with `helixvm image "
                "build NAME --arch %s`, and set disk.image=NAME",
                hx_image_name(image), has, wanted, wanted);
    return NULL;
}

/* Whether the VM boots by firmware. */
static gboolean choose_boot(const HxProfile *profile, const HxImage *image, gboolean *ret_firmware,
                            GError **error)
{
    const char *mode = hx_profile_string(profile, "boot.mode");
    gboolean direct = hx_image_kernel(image) != NULL;
    *ret_firmware = g_str_equal(mode, "firmware") || (g_str_equal(mode, "auto") && !direct);
    if (*ret_firmware ? hx_image_has_boot_loader(image) : direct)
        return TRUE;
    g_set_error(error, HX_ERROR, HX_ERROR_CONFIG,
                "boot.mode is %s, but image \"%s\" has no %s: set boot.mode=auto%s", mode,
                hx_image_name(image), *ret_firmware ? "boot loader" : "kernel beside it",
                *ret_firmware ? ", or make one with `helixvm image build NAME --firmware`" : "");
    return FALSE;
}

const HxArchitecture *hx_vm_architecture(const HxProfile *profile, GError **error)
{
    gboolean firmware = FALSE;
    g_autoptr(HxImage) image = hx_image_open(hx_profile_string(profile, "disk.image"), error);
    const HxArchitecture *architecture = image ? check_architecture(profile, image, error) : NULL;
    return architecture && choose_boot(profile, image, &firmware, error) ? architecture : NULL;
}

char *hx_vm_domain_xml(HxVm *vm, const HxProfile *profile, const HxVmDomain *domain, GError **error)
{
    g_autoptr(HxImage) image = hx_image_open(hx_profile_string(profile, "disk.image"), error);
    if (!image)
        return NULL;
    gboolean firmware = FALSE;
    const HxArchitecture *architecture = check_architecture(profile, image, error);
    if (!architecture || !choose_boot(profile, image, &firmware, error))
        return NULL;
    g_autofree char *state = hx_state_directory(error);
    g_autoptr(GPtrArray) shares = hx_profile_shares(profile);
    if (!state || !hx_shares_resolve(shares, state, error))
        return NULL;
    g_autofree char *name = hx_vm_domain_name(vm);
    g_auto(GStrv) credential_list = credentials(profile, domain);
    gboolean has_gpu = domain->display != HX_DISPLAY_NONE;
    HxDomainParts parts = {
        .name = name,
        .uuid = domain->uuid,
        .accelerator = domain->accelerator,
        .architecture = architecture,
        .kernel = firmware ? NULL : hx_image_kernel(image),
        .initrd = firmware ? NULL : hx_image_initrd(image),
        .root = hx_image_root(image),
        .nvram = hx_vm_state_path(vm, "nvram.fd"),
        .disk = hx_vm_state_path(vm, "disk.qcow2"),
        .base = hx_image_disk(image),
        .seed = hx_seed_is_wanted(profile, image) ? hx_vm_state_path(vm, "seed.iso") : NULL,
        .extra_disk_directory = hx_vm_state_path(vm, NULL),
        .shares = shares,
        .console_log = hx_vm_state_path(vm, "console.log"),
        .display = domain->display,
        .x_display = domain->x_display,
        .x_authority = hx_vm_runtime_path(vm, "qemu/xauthority"),
        .render_node = domain->render_node,
        .udmabuf = access("/dev/udmabuf", F_OK) == 0,
        .vsock = domain->vsock,
        .vsock_socket = hx_vm_runtime_path(vm, "vsock-device.sock"),
        .credentials = (const char *const *)credential_list,
        .export_module = has_gpu ? hx_vm_state_path(vm, "libhelixvm-export.so") : NULL,
        .export_socket = hx_vm_runtime_path(vm, "qemu/export.sock"),
        .encoder_socket = hx_profile_boolean(profile, "encoder.serial")
                              ? hx_vm_runtime_path(vm, HX_ENCODER_SERIAL_SOCKET)
                              : NULL,
    };
    return hx_domain_xml(profile, &parts, error);
}
