/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The domain of one VM: its profile and files, and what was found on the host, as libvirt XML. */
#pragma once

#include "launcher/domain/domain.h"
#include "launcher/vm/vm.h"

/* What the host offers this run.  Borrowed strings. */
typedef struct {
    const char *uuid;
    const char *accelerator;
    HxDisplayKind display;
    const char *x_display;   /* with HX_DISPLAY_XVFB */
    const char *render_node; /* with HX_DISPLAY_EGL_HEADLESS */
    HxVsockKind vsock;
    guint32 notify_port;    /* the host's vsock port that takes the guest's READY=1 */
    const char *public_key; /* that the guest's root admits, as in authorized_keys */
} HxVmDomain;

/* The vsock port of the host's frame-export service (HXFR). */
#define HX_ENCODER_PORT 5000
/* Where the guest's virtio-serial port of that service comes out, in the VM's runtime directory. */
#define HX_ENCODER_SERIAL_SOCKET "encoder-serial.sock"
/* The vsock port that takes READY=1 where the guest is alone on its vsock. */
#define HX_NOTIFY_PORT 5009

/* The first DRM render node that the caller may use, for g_free; NULL where there is none. */
char *hx_render_node(void);

/* The architecture of the VM that @profile describes: its machine.arch, else that of its image.
 * NULL with HX_ERROR_NOT_FOUND where the image is missing, HX_ERROR_CONFIG where the two do not fit
 * or the image cannot be booted as boot.mode says. */
const HxArchitecture *hx_vm_architecture(const HxProfile *profile, GError **error);

/* The domain's name for libvirt, for g_free. */
char *hx_vm_domain_name(HxVm *vm);

/* The domain's XML, for g_free.  HX_ERROR_NOT_FOUND where its base image is missing,
 * HX_ERROR_CONFIG where that cannot be booted as the profile says. */
char *hx_vm_domain_xml(HxVm *vm, const HxProfile *profile, const HxVmDomain *domain,
                       GError **error);
