/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/doctor/host-check.h"

#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "launcher/base/error.h"
#include "launcher/doctor/trial.h"

#define TEST_SECONDS 10

void hx_host_finding_clear(HxHostFinding *finding)
{
    g_clear_pointer(&finding->text, g_free);
    g_clear_pointer(&finding->remedy, g_free);
}

static void G_GNUC_PRINTF(4, 0) set(HxHostFinding *finding, HxHostState state, char *remedy,
                                    const char *format, va_list arguments)
{
    finding->state = state;
    finding->remedy = remedy;
    finding->text = g_strdup_vprintf(format, arguments);
}

void hx_host_fine(HxHostFinding *finding, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    set(finding, HX_HOST_FINE, NULL, format, arguments);
    va_end(arguments);
}

void hx_host_degraded(HxHostFinding *finding, char *remedy, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    set(finding, HX_HOST_DEGRADED, remedy, format, arguments);
    va_end(arguments);
}

void hx_host_broken(HxHostFinding *finding, char *remedy, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    set(finding, HX_HOST_BROKEN, remedy, format, arguments);
    va_end(arguments);
}

virConnect *hx_host_libvirt(HxHost *host, GError **error)
{
    g_mutex_lock(&host->lock);
    if (!host->asked) {
        host->connection = hx_libvirt_open(NULL, &host->error);
        host->qemu_user = host->connection ? hx_libvirt_qemu_user(host->connection) : geteuid();
        host->asked = TRUE;
    }
    virConnect *connection = host->connection;
    if (!connection)
        g_propagate_error(error, g_error_copy(host->error));
    g_mutex_unlock(&host->lock);
    return connection;
}

GPtrArray *hx_host_as_qemu_user(HxHost *host, const char *const *argv)
{
    GPtrArray *words = g_ptr_array_new_with_free_func(g_free);
    hx_host_libvirt(host, NULL);
    struct passwd entry, *user = NULL;
    char buffer[4096];
    if (host->qemu_user != geteuid() &&
        getpwuid_r(host->qemu_user, &entry, buffer, sizeof buffer, &user) == 0 && user) {
        g_ptr_array_add(words, g_strdup("setpriv"));
        g_ptr_array_add(words, g_strdup_printf("--reuid=%u", user->pw_uid));
        g_ptr_array_add(words, g_strdup_printf("--regid=%u", user->pw_gid));
        g_ptr_array_add(words, g_strdup("--init-groups"));
        g_ptr_array_add(words, g_strdup("--pdeathsig=KILL"));
        g_ptr_array_add(words, g_strdup("--"));
    }
    for (const char *const *word = argv; *word; word++)
        g_ptr_array_add(words, g_strdup(*word));
    g_ptr_array_add(words, NULL);
    return words;
}

char *hx_host_grant(HxHost *host, const char *node)
{
    const char *const argv[] = {"test", "-r", node, "-a", "-w", node, NULL};
    g_autoptr(GPtrArray) words = hx_host_as_qemu_user(host, argv);
    g_autoptr(HxTrial) trial = hx_trial_start((const char *const *)words->pdata, NULL, NULL, NULL);
    if (trial && hx_trial_await(trial, NULL, TEST_SECONDS, NULL))
        return NULL;
    struct stat found;
    struct passwd user_entry, *user = NULL;
    struct group group_entry, *group = NULL;
    char user_text[4096], group_text[4096];
    getpwuid_r(host->qemu_user, &user_entry, user_text, sizeof user_text, &user);
    /* The distribution's own way, which lasts; root's group is nobody's to be in. */
    if (user && stat(node, &found) == 0 && found.st_gid != 0 && (found.st_mode & 060) == 060 &&
        getgrgid_r(found.st_gid, &group_entry, group_text, sizeof group_text, &group) == 0 && group)
        return g_strdup_printf("usermod --append --groups %s %s", group->gr_name, user->pw_name);
    return g_strdup_printf("setfacl -m u:%u:rw %s", host->qemu_user, node);
}

/* --- packages -----------------------------------------------------------------------------------
 */

static const struct {
    const char *program, *debian, *fedora;
} packages[] = {
    {"libvirtd", "libvirt-daemon-system", "libvirt-daemon-kvm"},
    {"libvirt-driver", "libvirt-daemon-driver-qemu", "libvirt-daemon-driver-qemu"},
    {"virtlogd", "libvirt-daemon-system", "libvirt-daemon-log"},
    {"qemu-system-x86_64", "qemu-system-x86", "qemu-system-x86-core"},
    {"qemu-system-aarch64", "qemu-system-arm", "qemu-system-aarch64-core"},
    {"qemu-gl", "qemu-system-modules-opengl", "qemu-device-display-virtio-gpu-pci-gl"},
    {"qemu-sdl", "qemu-system-gui qemu-system-modules-opengl", "qemu-ui-sdl qemu-ui-opengl"},
    {"qemu-img", "qemu-utils", "qemu-img"},
    {"Xvfb", "xvfb", "xorg-x11-server-Xvfb"},
    {"virglrenderer", "libvirglrenderer1", "virglrenderer"},
    {"virgl_render_server", "virgl-server", "virglrenderer"},
    {"vulkan", "mesa-vulkan-drivers", "mesa-vulkan-drivers vulkan-loader"},
    {"mmdebstrap", "mmdebstrap", "mmdebstrap"},
    {"mke2fs", "e2fsprogs", "e2fsprogs"},
    {"firmware-x86_64", "ovmf", "edk2-ovmf"},
    {"firmware-aarch64", "qemu-efi-aarch64", "edk2-aarch64"},
    {"virtiofsd", "virtiofsd", "virtiofsd"},
    {"passt", "passt", "passt"},
};

char *hx_host_install(const char *program)
{
    g_autofree char *id = g_get_os_info(G_OS_INFO_KEY_ID);
    g_autofree char *like = g_get_os_info("ID_LIKE");
    gboolean is_debian = g_strcmp0(id, "debian") == 0 || (like && strstr(like, "debian"));
    gboolean is_fedora = g_strcmp0(id, "fedora") == 0 || (like && strstr(like, "fedora"));
    for (size_t i = 0; i < G_N_ELEMENTS(packages); i++) {
        if (!g_str_equal(packages[i].program, program))
            continue;
        if (is_fedora)
            return g_strdup_printf("dnf install %s", packages[i].fedora);
        if (is_debian)
            return g_strdup_printf("apt-get install %s", packages[i].debian);
        return g_strdup_printf("install your distribution's package for Debian's %s",
                               packages[i].debian);
    }
    g_assert_not_reached();
}

static char *qemu_name(HxHost *host)
{
    return g_strconcat("qemu-system-", host->architecture->name, NULL);
}

char *hx_host_qemu(HxHost *host)
{
    g_autofree char *name = qemu_name(host);
    return g_find_program_in_path(name);
}

char *hx_host_install_qemu(HxHost *host)
{
    g_autofree char *name = qemu_name(host);
    return hx_host_install(name);
}

char *hx_host_install_firmware(HxHost *host)
{
    g_autofree char *name = g_strconcat("firmware-", host->architecture->name, NULL);
    return hx_host_install(name);
}
