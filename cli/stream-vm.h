/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A session that a VM's guest gives.
 *
 * It is asked for over SSH, which stays open: where no frame comes it is asked what broke.  The
 * stream and the session's own statistics come over two more connections to its vsock port. */
#pragma once

#include "cli/stream-view.h"
#include "launcher/vm/vm.h"

/* View session @wish->request.session_id of @vm, started where it does not run.  @output and
 * @snapshot are files as hx_stream_files_new takes them.  Fails as hx_guest_ssh,
 * hx_guest_session_start, hx_stream_files_new and hx_stream_view do.  Main thread. */
gboolean hx_stream_view_vm(HxVm *vm, const HxStreamWish *wish, const char *output,
                           const char *snapshot, GCancellable *cancel, GError **error);
