/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The host itself: its system, memory and disk, and what VMs' disks lie on. */
#include <errno.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "launcher/base/directories.h"
#include "launcher/base/error.h"
#include "launcher/base/parts.h"
#include "launcher/doctor/host-check.h"
#include "launcher/domain/vm-domain.h"
#include "launcher/image/image.h"
#include "launcher/vm/room.h"

/* An image's build fits. */
#define DISK_EASY (G_GUINT64_CONSTANT(5) << 30)

static gboolean is_devenv(void)
{
    g_autofree char *mounts = NULL;
    return g_file_get_contents("/proc/self/mountinfo", &mounts, NULL, NULL) &&
           g_regex_match_simple("^\\S+ \\S+ \\S+ \\S*/devenv-\\S+ / ", mounts, G_REGEX_MULTILINE,
                                0);
}

void hx_check_system(HxHost *host, HxHostFinding *finding)
{
    g_autofree char *name = g_get_os_info(G_OS_INFO_KEY_PRETTY_NAME);
    struct utsname kernel;
    uname(&kernel);
    hx_host_fine(finding, "%s, %s %s on %s, %ld CPUs%s", name ? name : "an unknown system",
                 kernel.sysname, kernel.release, kernel.machine, sysconf(_SC_NPROCESSORS_ONLN),
                 is_devenv() ? ", in devenv's environment" : "");
}

/* For g_free.  @state and @runtime: NULL where they cannot be had. */
static char *remedy_for_directories(const char *state, const char *runtime)
{
    if (state && runtime)
        return g_strdup("make install");
    const char *variable = state ? "HELIXVM_RUNTIME_DIR" : "HELIXVM_STATE_DIR";
    if (g_getenv(variable))
        return g_strdup_printf("unset %s", variable);
    return g_strdup_printf("export %s=/A/FOLDER/OF/YOURS", variable);
}

void hx_check_directories(HxHost *host, HxHostFinding *finding)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *state = hx_state_directory(&error);
    g_autofree char *runtime = state ? hx_runtime_directory(&error) : NULL;
    g_autofree char *profiles = runtime ? hx_data_path("qemu-profiles", &error) : NULL;
    if (!profiles) {
        hx_host_broken(finding, remedy_for_directories(state, runtime), "%s", error->message);
        return;
    }
    hx_host_fine(finding, "%s for images and VMs, %s for sockets", state, runtime);
}

void hx_check_memory(HxHost *host, HxHostFinding *finding)
{
    g_autofree char *meminfo = NULL;
    gint64 wanted = hx_profile_integer(host->profile, "machine.memory");
    if (!g_file_get_contents("/proc/meminfo", &meminfo, NULL, NULL)) {
        hx_host_fine(finding, "%" G_GINT64_FORMAT " MiB for a VM", wanted);
        return;
    }
    guint64 available = hx_room_available_memory(meminfo);
    g_autoptr(GError) error = NULL;
    if (!host->is_up && !hx_room_check_memory(wanted, available, &error))
        hx_host_broken(finding,
                       g_strdup_printf("helixvm up --set machine.memory=%" G_GUINT64_FORMAT,
                                       MAX((available >> 20) / 2, 256)),
                       "%s", error->message);
    else
        hx_host_fine(finding, "%" G_GUINT64_FORMAT " MiB available, %" G_GINT64_FORMAT " %s",
                     available >> 20, wanted, host->is_up ? "taken by the VM" : "for the VM");
}

void hx_check_disk_space(HxHost *host, HxHostFinding *finding)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *state = hx_state_directory(&error);
    g_autofree char *nearest = state ? hx_nearest_directory(state) : NULL;
    struct statvfs space;
    if (!nearest || statvfs(nearest, &space) < 0) {
        hx_host_broken(finding, remedy_for_directories(state, NULL), "%s",
                       error ? error->message : g_strerror(errno));
        return;
    }
    guint64 bytes = (guint64)space.f_bavail * space.f_frsize;
    g_autofree char *size = g_format_size_full(bytes, G_FORMAT_SIZE_IEC_UNITS);
    /* Without a base image nothing is known of the disk: that is another check's to say. */
    if (host->vm && !host->is_up && !hx_room_check_disks(host->vm, host->profile, &error) &&
        g_error_matches(error, HX_ERROR, HX_ERROR_HOST))
        hx_host_broken(finding, g_strdup("helixvm up --set disk.size=GIB"), "%s", error->message);
    else if (bytes < DISK_EASY)
        hx_host_degraded(finding,
                         g_strdup("HELIXVM_STATE_DIR=/FOLDER/WITH/ROOM helixvm image build"),
                         "%s free in %s: too little to build an image", size, state);
    else
        hx_host_fine(finding, "%s free in %s", size, state);
}

void hx_check_image(HxHost *host, HxHostFinding *finding)
{
    const char *name = hx_profile_string(host->profile, "disk.image");
    g_autoptr(GError) error = NULL;
    g_autoptr(HxImage) image = hx_image_open(name, &error);
    const char *const files[] = {image ? hx_image_disk(image) : NULL,
                                 image ? hx_image_kernel(image) : NULL,
                                 image ? hx_image_initrd(image) : NULL};
    for (size_t i = 0; image && i < G_N_ELEMENTS(files); i++)
        if (files[i] && access(files[i], R_OK) < 0) {
            hx_set_error_errno(&error, HX_ERROR_HOST, errno, "image \"%s\": %s", name, files[i]);
            break;
        }
    if (error) {
        gboolean is_there = !g_error_matches(error, HX_ERROR, HX_ERROR_NOT_FOUND);
        hx_host_broken(
            finding, g_strdup_printf("helixvm image build%s %s", is_there ? " --force" : "", name),
            "%s", is_there ? error->message : "there is no base image for a VM's disk");
        return;
    }
    if (!hx_vm_architecture(host->profile, &error)) {
        hx_host_broken(finding, g_strdup("helixvm up --set machine.arch=auto"), "%s",
                       error->message);
        return;
    }
    g_autofree char *size = g_format_size_full(hx_image_size(image), G_FORMAT_SIZE_IEC_UNITS);
    hx_host_fine(finding, "\"%s\", %s", name, size);
}

void hx_check_image_tools(HxHost *host, HxHostFinding *finding)
{
    static const struct {
        const char *program;
        HxHostState without;
        const char *lost;
    } tools[] = {
        {"qemu-img", HX_HOST_BROKEN, "makes VMs' disks"},
        {"mmdebstrap", HX_HOST_DEGRADED, "`helixvm image build` needs it"},
        {"mke2fs", HX_HOST_DEGRADED, "`helixvm image build` needs it"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(tools); i++) {
        g_autofree char *path = g_find_program_in_path(tools[i].program);
        if (path)
            continue;
        char *remedy = hx_host_install(tools[i].program);
        if (tools[i].without == HX_HOST_BROKEN)
            hx_host_broken(finding, remedy, "there is no %s, which %s", tools[i].program,
                           tools[i].lost);
        else
            hx_host_degraded(finding, remedy, "there is no %s: %s", tools[i].program,
                             tools[i].lost);
        return;
    }
    hx_host_fine(finding, "qemu-img, mmdebstrap, mke2fs");
}
