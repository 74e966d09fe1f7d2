/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One VM by its name: where its files are, and how to reach its monitor and its guest. */
#pragma once

#include <gio/gio.h>

typedef struct HxVm HxVm;

/* The VM called @name, running or not, known or not.  A name has 1 to 40 characters of a-z, 0-9 and
 * '-', the first a letter or digit.  Creates nothing of it.  NULL with HX_ERROR_USAGE for a bad
 * name. */
HxVm *hx_vm_open(const char *name, GError **error);
void hx_vm_free(HxVm *vm);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HxVm, hx_vm_free)

const char *hx_vm_name(const HxVm *vm);

/* The names of all VMs, sorted, for g_ptr_array_unref; what else lies among their folders is there,
 * too.  NULL with HX_ERROR_HOST. */
GPtrArray *hx_vm_names(GError **error);

/* Any thread.  Paths live as long as @vm; without @file (NULL) the directory's own.  What is named
 * in the state directory outlives the running VM: "disk.qcow2", "guest.json", "console.log"; in the
 * runtime directory it ends with it: sockets. */
const char *hx_vm_state_path(HxVm *vm, const char *file);
const char *hx_vm_runtime_path(HxVm *vm, const char *file);
/* The file that is the VM's lock: among the state, which nobody but the user empties, and outside
 * the VM's own directory, as it outlives the removal of that. */
const char *hx_vm_lock_path(const HxVm *vm);
const char *hx_vm_identity_path(HxVm *vm);    /* SSH private key, 0600 in a 0700 directory */
const char *hx_vm_known_hosts_path(HxVm *vm); /* the guest's pinned host key */

/* Create the VM's directories where they are missing: state and runtime 0711, secrets 0700. */
gboolean hx_vm_create_directories(HxVm *vm, GError **error);

/* Create the directory of hx_vm_lock_path, and the one of all state, where they are missing. */
gboolean hx_vm_create_lock_directory(HxVm *vm, GError **error);

/* Connect to the control socket of the VM's monitor.  Returns a connected stream, the caller's own,
 * or -1 with HX_ERROR_NOT_RUNNING where no monitor runs. */
int hx_vm_connect_monitor(HxVm *vm, GError **error);

/* Connect to @port of the guest's vsock, through the vhost-user device's Unix socket or the kernel,
 * as the VM has it.  Returns a connected stream socket, blocking, the caller's own, or -1 with
 * HX_ERROR_NOT_RUNNING (the VM is down), HX_ERROR_PROTOCOL (nobody listens on the port), or
 * HX_ERROR_TIMEOUT after 10 s without an answer.  Any thread. */
int hx_vm_connect(HxVm *vm, guint32 port, GCancellable *cancel, GError **error);
