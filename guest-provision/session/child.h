/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The programs that a session is made of: children that do not outlive it. */
#pragma once

#include <gio/gio.h>

typedef struct SessionChild SessionChild;

/* In the main thread, once the child has ended by itself.  @status is waitpid(2)'s. */
typedef void (*SessionChildEnded)(SessionChild *child, int status, void *data);

typedef struct {
    const char *const *argv; /* argv[0] is searched in PATH */
    const char *const *envp;
    int listen_fd; /* handed over as systemd does, sd_listen_fds(3); -1 for none */
    int stdout_fd; /* -1: standard error, as the child's own */
    SessionChildEnded ended;
    void *data;
} SessionChildSpec;

/* Start a child from the main thread, whose end it shares (SIGKILL).  It stays the caller's to
 * stop, also after it has ended. */
SessionChild *session_child_start(const SessionChildSpec *spec, GError **error);

/* The name it was started by. */
const char *session_child_name(const SessionChild *child);

/* Ask it to end with SIGTERM, without waiting. */
void session_child_terminate(SessionChild *child);

/* Reap it, by SIGKILL where it is still there at @deadline (monotonic, µs), and free it.  NULL is
 * fine.  Its ended function is not called any more. */
void session_child_free(SessionChild *child, gint64 deadline);

/* "exited with status 1", "was killed by signal 11 (Segmentation fault)"; for g_free. */
char *session_child_describe(int status);
