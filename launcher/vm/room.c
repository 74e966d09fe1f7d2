/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/vm/room.h"

#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "launcher/base/error.h"
#include "launcher/base/port.h"
#include "launcher/disk/disk.h"
#include "launcher/image/image.h"
#include "launcher/profile/extra-disk.h"
#include "launcher/profile/forward.h"
#include "launcher/profile/share.h"

#define KIB (G_GUINT64_CONSTANT(1) << 10)
#define MIB (G_GUINT64_CONSTANT(1) << 20)
#define GIB (G_GUINT64_CONSTANT(1) << 30)
/* What QEMU, its GL and the processes beside it take besides the guest's memory. */
#define MEMORY_MARGIN_MIB 256
#define DISK_RESERVE GIB

/* --- memory --------------------------------------------------------------------------------------
 */

guint64 hx_room_available_memory(const char *meminfo)
{
    static const char label[] = "\nMemAvailable:";
    const char *line = strstr(meminfo, label);
    return line ? g_ascii_strtoull(line + strlen(label), NULL, 10) * KIB : 0;
}

gboolean hx_room_check_memory(gint64 wanted_mib, guint64 available, GError **error)
{
    guint64 available_mib = available / MIB;
    if ((guint64)wanted_mib + MEMORY_MARGIN_MIB <= available_mib)
        return TRUE;
    g_set_error(error, HX_ERROR, HX_ERROR_HOST,
                "the VM wants %" G_GINT64_FORMAT " MiB of memory (machine.memory) and %d MiB for "
                "its processes, but the host has %" G_GUINT64_FORMAT " MiB available: set "
                "machine.memory lower, or end what takes the memory",
                wanted_mib, MEMORY_MARGIN_MIB, available_mib);
    return FALSE;
}

static gboolean check_memory(const HxProfile *profile, GError **error)
{
    g_autofree char *meminfo = NULL;
    if (!g_file_get_contents("/proc/meminfo", &meminfo, NULL, NULL))
        return TRUE; /* no Linux: there is nothing to compare with */
    guint64 available = hx_room_available_memory(meminfo);
    return available == 0 ||
           hx_room_check_memory(hx_profile_integer(profile, "machine.memory"), available, error);
}

/* --- disk ----------------------------------------------------------------------------------------
 */

gboolean hx_room_check_disk(guint64 growth, guint64 available, const char *directory,
                            GError **error)
{
    guint64 needed = MIN(growth, DISK_RESERVE + growth / 2);
    if (available >= needed)
        return TRUE;
    g_set_error(error, HX_ERROR, HX_ERROR_HOST,
                "the VM's disks may grow by %.1f GiB yet (disk.size, disk.extra), for which there "
                "should be %.1f GiB free, but %s has %.1f GiB: set disk.size lower, or make room",
                (double)growth / GIB, (double)needed / GIB, directory, (double)available / GIB);
    return FALSE;
}

/* Add to @growth what the file @path may grow by until a disk of @size bytes is full. */
static gboolean add_growth(guint64 *growth, const char *path, guint64 size, GError **error)
{
    struct stat file;
    guint64 taken = stat(path, &file) == 0 ? (guint64)file.st_blocks * 512 : 0;
    *growth += size - MIN(size, taken);
    return hx_disk_check_size(path, size, error);
}

static gboolean add_extra_disks(guint64 *growth, HxVm *vm, const HxProfile *profile, GError **error)
{
    g_autoptr(GPtrArray) extra = hx_profile_extra_disks(profile);
    for (guint i = 0; i < extra->len; i++) {
        const HxExtraDisk *disk = extra->pdata[i];
        g_autofree char *file = hx_extra_disk_file(disk->name);
        if (!add_growth(growth, hx_vm_state_path(vm, file), disk->gib * GIB, error))
            return FALSE;
    }
    return TRUE;
}

gboolean hx_room_check_disks(HxVm *vm, const HxProfile *profile, GError **error)
{
    g_autoptr(HxImage) image = hx_image_open(hx_profile_string(profile, "disk.image"), error);
    if (!image)
        return FALSE;
    guint64 growth = 0;
    guint64 size =
        MAX(hx_profile_integer(profile, "disk.size") * GIB, hx_image_virtual_size(image));
    if (!add_growth(&growth, hx_vm_state_path(vm, "disk.qcow2"), size, error) ||
        !add_extra_disks(&growth, vm, profile, error))
        return FALSE;
    const char *directory = hx_vm_state_path(vm, NULL);
    struct statvfs system;
    if (statvfs(directory, &system) < 0)
        return TRUE; /* making the disk will say why */
    return hx_room_check_disk(growth, (guint64)system.f_bavail * system.f_frsize, directory, error);
}

/* --- the rest ------------------------------------------------------------------------------------
 */

static gboolean check_forwards(const HxProfile *profile, GError **error)
{
    g_autoptr(GPtrArray) forwards = hx_profile_forwards(profile);
    if (forwards->len == 0)
        return TRUE;
    if (g_str_equal(hx_profile_string(profile, "network.mode"), "user"))
        return hx_forwards_check(forwards, error);
    g_set_error(error, HX_ERROR, HX_ERROR_CONFIG,
                "network.forward needs network.mode=user, and it is %s",
                hx_profile_string(profile, "network.mode"));
    return FALSE;
}

static gboolean check_encoder_port(const HxProfile *profile, GError **error)
{
    if (!hx_profile_boolean(profile, "encoder.tcp"))
        return TRUE;
    guint16 port = hx_profile_integer(profile, "encoder.tcp-port");
    if (!g_str_equal(hx_profile_string(profile, "network.mode"), "user")) {
        g_set_error(error, HX_ERROR, HX_ERROR_CONFIG,
                    "encoder.tcp needs network.mode=user, and it is %s: the guest reaches it there",
                    hx_profile_string(profile, "network.mode"));
        return FALSE;
    }
    g_autoptr(GPtrArray) forwards = hx_profile_forwards(profile);
    for (guint i = 0; i < forwards->len; i++) {
        const HxForward *forward = forwards->pdata[i];
        if (forward->udp || forward->host_port != port)
            continue;
        g_set_error(error, HX_ERROR, HX_ERROR_CONFIG,
                    "encoder.tcp-port and network.forward both want TCP port %u of 127.0.0.1: "
                    "choose another for one of them",
                    port);
        return FALSE;
    }
    g_autofree char *why = hx_port_objection(FALSE, port);
    if (why)
        g_set_error(error, HX_ERROR, HX_ERROR_HOST,
                    "cannot take the guest's frames at TCP port %u of 127.0.0.1: %s: choose "
                    "another encoder.tcp-port, or set encoder.tcp=false",
                    port, why);
    return why == NULL;
}

gboolean hx_room_check_shares(HxVm *vm, const HxProfile *profile, GError **error)
{
    g_autoptr(GPtrArray) shares = hx_profile_shares(profile);
    g_autofree char *vms = g_path_get_dirname(hx_vm_state_path(vm, NULL));
    g_autofree char *state = g_path_get_dirname(vms);
    return hx_shares_resolve(shares, state, error);
}

gboolean hx_room_check(HxVm *vm, const HxProfile *profile, GError **error)
{
    return check_memory(profile, error) && hx_room_check_disks(vm, profile, error) &&
           check_forwards(profile, error) && check_encoder_port(profile, error) &&
           hx_room_check_shares(vm, profile, error);
}
