/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The session of a VM that is to be viewed, as its viewer asks for it. */
#pragma once

#include "guest-provision/guest-session.h"
#include "guest-provision/session/stream-protocol.h"

/* See that session @request->session_id runs, as hx_guest_session_start does, with the width, the
 * height and at least the frame rate of @request: its configuration is changed where it is down,
 * and where it runs if @restart allows to end what runs in it.  Otherwise a running one stays as it
 * is.  Fails as hx_guest_session_start, and with HX_ERROR_USAGE where no session can be so. */
HxGuestSession *hx_stream_session_start(HxSsh *ssh, const char *vm, const HxStreamRequest *request,
                                        gboolean restart, GError **error);
