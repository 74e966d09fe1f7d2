/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Child processes: explicit descriptors, an end with their parent, no shell. */
#pragma once

#include <gio/gio.h>
#include <sys/types.h>

typedef struct {
    const char *const *argv; /* NULL-terminated; argv[0] is searched in PATH where it has no '/' */
    const char *program;     /* what to execute; NULL: what argv[0] names */
    const char *const *envp; /* NULL: the caller's environment */
    const char *directory;   /* NULL: the caller's */
    int stdin_fd;            /* -1: /dev/null */
    int stdout_fd;           /* -1: /dev/null */
    int stderr_fd;           /* -1: the caller's */
    const int *fds;          /* descriptors the child gets, as numbers 3, 4, … in this order */
    size_t n_fds;
    gboolean own_session;     /* setsid(): the terminal's signals do not reach it */
    gboolean outlives_parent; /* otherwise SIGKILL follows the end of the caller */
} HxProcess;

/* This very program, also where another version has been put into its file's place. */
#define HX_PROCESS_SELF "/proc/self/exe"

/* Start @process.  The descriptors stay the caller's own.  Returns the pid, to be reaped by the
 * caller (g_child_watch_add or waitpid), or -1 with @error.  Call it from the main thread: the
 * parent-death signal (prctl(2), PR_SET_PDEATHSIG) is bound to the calling thread. */
pid_t hx_process_spawn(const HxProcess *process, GError **error);

/* Run @argv to its end.  @ret_stdout, where not NULL, gets its output, at most 16 MiB, for g_free.
 * Fails with HX_ERROR_FAILED and the last lines of its stderr where it exits with another status
 * than 0.  Stops it with SIGTERM where @cancellable is cancelled. */
gboolean hx_process_run(const char *const *argv, char **ret_stdout, GCancellable *cancellable,
                        GError **error);
