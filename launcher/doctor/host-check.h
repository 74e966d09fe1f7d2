/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One look at the host, as `up` would use it. */
#pragma once

#include <glib.h>

#include "launcher/base/architecture.h"
#include "launcher/domain/libvirt-connection.h"
#include "launcher/profile/profile.h"
#include "launcher/vm/vm.h"

typedef enum {
    HX_HOST_FINE,
    HX_HOST_DEGRADED, /* VMs run, but something is lost */
    HX_HOST_BROKEN,   /* no VM starts */
} HxHostState;

typedef struct {
    HxHostState state;
    char *text;   /* what was found, and what is lost by it */
    char *remedy; /* the command that mends it, or NULL */
} HxHostFinding;

void hx_host_finding_clear(HxHostFinding *finding);

/* What the checks share.  They run at the same time, each in a thread of its own. */
typedef struct HxHost {
    HxVm *vm;                 /* NULL where its directories cannot be had */
    const HxProfile *profile; /* what `up` would start */
    const HxArchitecture *architecture;
    gboolean is_up; /* the VM runs, and has what it asks for */
    GMutex lock;
    gboolean asked;
    virConnect *connection; /* guarded by lock, and constant once it was asked for */
    uid_t qemu_user;
    GError *error;
} HxHost;

typedef void HxHostCheckFunc(HxHost *host, HxHostFinding *finding);

/* The connection to libvirt, made by the first who asks; not to be closed.  NULL with @error. */
virConnect *hx_host_libvirt(HxHost *host, GError **error);

/* @argv, run as the user that QEMU runs as, as hx_trial_start takes it: for g_ptr_array_unref.  The
 * strings stay the caller's. */
GPtrArray *hx_host_as_qemu_user(HxHost *host, const char *const *argv);

/* What lets the user that QEMU runs as use @node, for g_free; NULL where it may already. */
char *hx_host_grant(HxHost *host, const char *node);

/* Set a finding, once; the text is formatted, the remedy is taken. */
void hx_host_fine(HxHostFinding *finding, const char *format, ...) G_GNUC_PRINTF(2, 3);
void hx_host_degraded(HxHostFinding *finding, char *remedy, const char *format, ...)
    G_GNUC_PRINTF(3, 4);
void hx_host_broken(HxHostFinding *finding, char *remedy, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

/* The command that installs what has @program, by the host's distribution; for g_free. */
char *hx_host_install(const char *program);

/* The QEMU program for the guest's architecture, for g_free; NULL where there is none. */
char *hx_host_qemu(HxHost *host);

/* The command that installs it, or the firmware for it; for g_free. */
char *hx_host_install_qemu(HxHost *host);
char *hx_host_install_firmware(HxHost *host);

/* For QEMU's -qmp stdio: it greets before its devices are made, and obeys after. */
#define HX_QMP_QUIT "{\"execute\":\"qmp_capabilities\"}{\"execute\":\"quit\"}"

/* host-checks-system.c */
HxHostCheckFunc hx_check_system, hx_check_directories, hx_check_memory, hx_check_disk_space,
    hx_check_image, hx_check_image_tools;
/* host-checks-qemu.c */
HxHostCheckFunc hx_check_libvirt, hx_check_qemu, hx_check_accelerators, hx_check_firmware,
    hx_check_folders, hx_check_forwards;
/* host-checks-graphics.c */
HxHostCheckFunc hx_check_display, hx_check_gpu, hx_check_venus, hx_check_module, hx_check_encoder;
/* host-checks-access.c */
HxHostCheckFunc hx_check_vsock, hx_check_apparmor, hx_check_selinux;
