/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The image's disk.  Without a boot loader the root file system is all of it: nothing has to be
 * grown but the file system.  With one there is a GUID partition table, of the EFI system partition
 * (UEFI specification, chapter 13.3) and the root partition, which systemd-repart grows at boot. */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <unistd.h>

#include "launcher/base/error.h"
#include "launcher/base/fd.h"
#include "launcher/image/build-internal.h"
#include "launcher/image/initrd.h"

#define MIB (G_GINT64_CONSTANT(1) << 20)
#define DISK_SIZE ((gint64)HX_BUILD_DISK_GIB << 30)
#define SECTOR_SIZE 512
/* Room for two kernels of 32 MiB with their ramdisks. */
#define ESP_START (1 * MIB)
#define ESP_SIZE (127 * MIB)
#define ROOT_START (ESP_START + ESP_SIZE)
/* The table's copy is in the last 33 sectors. */
#define ROOT_SIZE (DISK_SIZE - ROOT_START - 1 * MIB)

/* An ext4 file system of @root at @offset of @raw.  Its tables are whole from the start: the
 * guest's kernel would else write them, into each VM's overlay. */
static gboolean make_file_system(HxImageBuild *build, const char *root, const char *raw,
                                 gint64 offset, gint64 bytes, GError **error)
{
    g_autofree char *size = g_strdup_printf("%" G_GINT64_FORMAT "k", bytes / 1024);
    g_autofree char *extended =
        g_strdup_printf("lazy_itable_init=0,lazy_journal_init=0,offset=%" G_GINT64_FORMAT, offset);
    const char *const mke2fs[] = {"mke2fs", "-q",     "-t", "ext4", "-L", "helixvm", "-m", "1",
                                  "-E",     extended, "-d", root,   raw,  size,      NULL};
    return hx_build_run(build, mke2fs, "mke2fs", FALSE, error);
}

static gboolean make_partitions(HxImageBuild *build, const char *raw, GError **error)
{
    g_autofree char *script_path = g_build_filename(build->building, "esp", "partitions", NULL);
    /* Discoverable Partitions Specification: what each partition is for. */
    g_autofree char *script = g_strdup_printf(
        "label: gpt\n"
        "start=%" G_GINT64_FORMAT ", size=%" G_GINT64_FORMAT ", type=uefi, name=esp\n"
        "start=%" G_GINT64_FORMAT ", size=%" G_GINT64_FORMAT ", type=%s, name=root\n",
        ESP_START / SECTOR_SIZE, ESP_SIZE / SECTOR_SIZE, ROOT_START / SECTOR_SIZE,
        ROOT_SIZE / SECTOR_SIZE, build->architecture->root_partition);
    hx_autofd int fd = open(raw, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0 || ftruncate(fd, DISK_SIZE) < 0) {
        hx_set_error_errno(error, HX_ERROR_HOST, errno, "cannot make %s", raw);
        return FALSE;
    }
    if (!g_file_set_contents(script_path, script, -1, error))
        return FALSE;
    const char *const sfdisk[] = {"sh",
                                  "-c",
                                  "sfdisk --quiet --no-reread --no-tell-kernel "
                                  "\"$1\" <\"$2\"",
                                  "sfdisk",
                                  raw,
                                  script_path,
                                  NULL};
    gboolean done = hx_build_run(build, sfdisk, "sfdisk", FALSE, error);
    g_unlink(script_path);
    return done;
}

/* The EFI system partition, of the files that customize-firmware left and the kernel. */
static gboolean make_esp(HxImageBuild *build, const char *raw, GError **error)
{
    g_autofree char *esp = g_build_filename(build->building, "esp", NULL);
    g_autofree char *efi = g_build_filename(esp, "EFI", NULL);
    g_autofree char *loader = g_build_filename(esp, "loader", NULL);
    g_autofree char *kernel = g_build_filename(build->building, "kernel", NULL);
    g_autofree char *initrd = g_build_filename(build->building, "initrd", NULL);
    g_autofree char *offset = g_strdup_printf("%" G_GINT64_FORMAT, ESP_START / SECTOR_SIZE);
    g_autofree char *blocks = g_strdup_printf("%" G_GINT64_FORMAT, ESP_SIZE / 1024);
    g_autofree char *partition = g_strdup_printf("%s@@%" G_GINT64_FORMAT, raw, ESP_START);
    /* Clusters of one sector: with fewer than 65525 of them firmware takes it for no FAT32. */
    const char *const mkfs[] = {"mkfs.vfat", "-F",       "32",   "-s", "1",    "-n",
                                "ESP",       "--offset", offset, raw,  blocks, NULL};
    const char *const copy[] = {"mcopy", "-i",   partition, "-s",  efi,
                                loader,  kernel, initrd,    "::/", NULL};
    return hx_build_run(build, mkfs, "mkfs.vfat", FALSE, error) &&
           hx_build_run(build, copy, "mcopy", FALSE, error);
}

gboolean hx_build_make_disk(HxImageBuild *build, const char *root, GError **error)
{
    hx_build_enter_phase(build, HX_BUILD_DISK);
    g_autofree char *raw = g_build_filename(build->building, "disk.raw", NULL);
    g_autofree char *disk = g_build_filename(build->building, "disk.qcow2", NULL);
    g_autofree char *modules = g_build_filename(build->building, "modules", NULL);
    g_autofree char *initrd = g_build_filename(build->building, "initrd", NULL);
    gint64 start = build->firmware ? ROOT_START : 0;
    if (!hx_initrd_write(initrd, build->init, modules, error) ||
        (build->firmware &&
         (!make_partitions(build, raw, error) || !make_esp(build, raw, error))) ||
        !make_file_system(build, root, raw, start, build->firmware ? ROOT_SIZE : DISK_SIZE, error))
        return FALSE;
    build->fraction = 0.6;
    const char *const convert[] = {"qemu-img", "convert", "-O", "qcow2", raw, disk, NULL};
    if (!hx_build_run(build, convert, "qemu-img", FALSE, error))
        return FALSE;
    g_unlink(raw);
    return TRUE;
}
