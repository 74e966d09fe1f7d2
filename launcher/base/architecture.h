/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The architectures that guests may have, and what differs between their machines. */
#pragma once

#include <glib.h>

typedef struct {
    const char *name;           /* as uname(2), libvirt and QEMU have it: "x86_64", "aarch64" */
    const char *machine;        /* QEMU's: "q35", "virt" */
    const char *console;        /* the kernel's name of the first serial port: "ttyS0", "ttyAMA0" */
    const char *debian;         /* "amd64", "arm64" */
    const char *root_partition; /* the type of its root partition, as sfdisk(8) takes it */
    /* Without firmware there is no SMBIOS table: credentials go by fw_cfg. */
    gboolean smbios_needs_firmware;
} HxArchitecture;

/* The architecture called @name; NULL where helixvm does not know it. */
const HxArchitecture *hx_architecture(const char *name);

/* The host's own; NULL where helixvm knows no guest for it. */
const HxArchitecture *hx_architecture_of_host(void);

/* Whether @accelerator ("hvf", "kvm", "tcg") is one that this operating system may have and that
 * runs guests of @architecture on this CPU.  That it works is another question. */
gboolean hx_accelerator_exists(const char *accelerator, const HxArchitecture *architecture);

/* Those of @accelerators that exist here, in their order; for g_strfreev. */
char **hx_accelerators_here(char **accelerators, const HxArchitecture *architecture);
