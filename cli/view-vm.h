/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where a session of a VM is, for as long as it is viewed: also after the session, or the VM, was
 * started anew. */
#pragma once

#include "launcher/vm/vm.h"

typedef struct HxViewVm HxViewVm;

/* See that session @session of @vm runs, started where it does not.  Both are copied.  NULL as
 * hx_guest_ssh and hx_guest_session_start.  Main thread. */
HxViewVm *hx_view_vm_new(HxVm *vm, const char *session, GError **error);
void hx_view_vm_free(HxViewVm *at);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HxViewVm, hx_view_vm_free)

/* A connected socket of the session's.  Where it is no longer where it was, the guest is asked; a
 * session that somebody has stopped stays so.  -1 with @error, which says what to do.  An
 * HxViewConnect, with the HxViewVm as @data: any thread. */
int hx_view_vm_connect(void *data, GCancellable *cancel, GError **error);
