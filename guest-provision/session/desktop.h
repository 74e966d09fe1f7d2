/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The session's desktop: PipeWire, Weston on it, and the first client. */
#pragma once

#include "guest-provision/session/config.h"

/* The node that frames are taken from, and the node that is to get them. */
#define SESSION_SOURCE_NODE "weston.pipewire"
#define SESSION_SINK_NODE "helixvm-session"

typedef struct SessionDesktop SessionDesktop;

/* Both are called in the main thread; data is the caller's. */
typedef struct {
    /* Weston has said that it is up. */
    void (*ready)(void *data);
    /* The desktop is lost, for @reason; it is to be freed, but not from within this call. */
    void (*failed)(const char *reason, void *data);
    void *data;
} SessionDesktopEvents;

/* Start it, with everything it writes below @directory, which is also its XDG_RUNTIME_DIR.  A node
 * SESSION_SINK_NODE of this process is linked to the compositor whenever it appears: PipeWire's
 * environment is this process's from here on. */
SessionDesktop *session_desktop_start(const SessionConfig *config, const char *directory,
                                      const SessionDesktopEvents *events, GError **error);

/* The GL renderer as Weston reports it, for g_free; NULL before it is up, or without GL. */
char *session_desktop_gl_renderer(const SessionDesktop *desktop);

/* End its processes, first by SIGTERM, and remove what it wrote.  NULL is fine. */
void session_desktop_free(SessionDesktop *desktop);
