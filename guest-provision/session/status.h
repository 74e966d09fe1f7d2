/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a session tells of itself: state.json, the JSON of /statistics, and systemd. */
#pragma once

#include "guest-provision/session/pipeline.h"

/* The JSON of /statistics, for g_free, with the monotonic time that its counts are of. @gl_renderer
 * may be NULL. */
char *session_statistics_json(const char *session, const SessionPipelineStatistics *statistics,
                              guint viewers, guint64 dropped, const char *gl_renderer);

/* Write @directory/state.json in one step: {"port", "pid", "state"}, and "reason" where it is not
 * NULL.  @state is "starting", "running" or "failed". */
gboolean session_state_write(const char *directory, guint32 port, const char *state,
                             const char *reason, GError **error);
void session_state_remove(const char *directory);

/* Send @text to systemd as sd_notify(3) has it; nothing where NOTIFY_SOCKET is not set. */
void session_notify(const char *text);
