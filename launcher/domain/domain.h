/* SPDX-License-Identifier: GPL-2.0-or-later */
/* VM description → libvirt domain XML (https://libvirt.org/formatdomain.html).  Pure: touches
 * neither files nor libvirt. */
#pragma once

#include <glib.h>

#include "launcher/base/architecture.h"
#include "launcher/profile/profile.h"

typedef enum {
    HX_DISPLAY_NONE,         /* no GPU */
    HX_DISPLAY_XVFB,         /* SDL on a private X server */
    HX_DISPLAY_EGL_HEADLESS, /* a DRM render node */
} HxDisplayKind;

typedef enum {
    HX_VSOCK_VHOST_USER, /* helixvm-vsock */
    HX_VSOCK_KERNEL,     /* the kernel's vhost-vsock; libvirt picks the CID */
} HxVsockKind;

/* What a profile cannot know: paths, and what was found on the host.  Borrowed strings. */
typedef struct {
    const char *name; /* of the domain */
    const char *uuid;
    const char *accelerator; /* "kvm", "tcg", "hvf" */
    const HxArchitecture *architecture;
    const char *kernel, *initrd; /* direct boot; NULL: by firmware */
    const char *root;            /* the guest's root file system, "/dev/vda"; with a kernel */
    const char *nvram;           /* where the firmware keeps its variables; without a kernel */
    const char *disk;
    const char *base;                 /* what it lies on */
    const char *seed;                 /* the image of launcher/vm/seed.h; NULL: none */
    const char *extra_disk_directory; /* where the files of disk.extra are */
    const GPtrArray *shares;          /* those of share.folders, by hx_shares_resolve; NULL: none */
    const char *console_log;
    HxDisplayKind display;
    const char *x_display;   /* ":5"; with HX_DISPLAY_XVFB */
    const char *x_authority; /* its cookie file */
    const char *render_node; /* with HX_DISPLAY_EGL_HEADLESS */
    gboolean udmabuf;        /* the host has /dev/udmabuf */
    HxVsockKind vsock;
    const char *vsock_socket; /* the vhost-user socket of helixvm-vsock */
    const char *const
        *credentials;           /* "NAME=VALUE" for systemd, by SMBIOS type 11; NULL-terminated */
    const char *export_module;  /* libhelixvm-export.so as QEMU's user sees it; NULL: none */
    const char *export_socket;  /* where it listens */
    const char *encoder_socket; /* of the encoder, for the virtio-serial port; NULL: no such port */
} HxDomainParts;

/* The domain's XML, for g_free.  NULL with HX_ERROR_FAILED where libxml2 fails. */
char *hx_domain_xml(const HxProfile *profile, const HxDomainParts *parts, GError **error);
