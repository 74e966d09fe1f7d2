/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the servers have in common that are a session to who is tested: frames without end, how they
 * are sent, and what is said of it. */
#pragma once

#include <libsoup/soup.h>

#include "guest-provision/session/stream-protocol.h"
#include "tests/fakes/cli-pictures.h"

/* A line of standard output. */
void say(const char *format, ...) G_GNUC_PRINTF(1, 2);

/* Make the frames that are sent again and again: @groups of PICTURE_GROUP.  Once, before others. */
void endless_frames_make(guint groups);

/* Frame @index, a multiple of @interval_ms after the first. */
HxStreamFrame endless_frame(guint64 index, guint interval_ms);

/* Send @bytes, which are taken. */
void send_binary(SoupWebsocketConnection *connection, GBytes *bytes);
