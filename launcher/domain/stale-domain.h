/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The domain that a killed monitor left behind, told from others' by its UUID. */
#pragma once

#include "launcher/domain/libvirt-connection.h"
#include "launcher/vm/vm.h"

/* End the domain of @vm that @connection still has; *@ret_ended says whether there was one.  It is
 * known by the UUID in the VM's state directory, never by its name, which others may use.
 * HX_ERROR_HOST where it does not end.  Nobody else owns the VM.  Blocks, up to 60 s longer where
 * libvirt is still starting it. */
gboolean hx_stale_domain_end(HxVm *vm, virConnect *connection, gboolean *ret_ended, GError **error);

/* End the QEMU of @vm where libvirt cannot be asked to: see hx_qemu_end.  Nobody else owns the VM.
 */
gboolean hx_stale_qemu_end(HxVm *vm, GError **error);

/* HX_ERROR_HOST where @connection has a domain by the name of @vm's that is not @vm's: that of a VM
 * of another state directory.  Blocks. */
gboolean hx_stale_domain_check_name(HxVm *vm, virConnect *connection, GError **error);
