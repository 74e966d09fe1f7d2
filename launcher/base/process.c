/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/base/process.h"

#include <fcntl.h>
#include <gio/gio.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "launcher/base/error.h"
#include "launcher/base/fd.h"

#define OUTPUT_MAX (16 * 1024 * 1024)

typedef struct {
    pid_t parent;
    gboolean own_session;
    gboolean outlives_parent;
} ChildSetup;

/* Runs between fork and exec: async-signal-safe calls alone. */
static void set_up_child(void *data)
{
    const ChildSetup *setup = data;
    if (setup->own_session)
        setsid();
    if (!setup->outlives_parent) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        /* The parent may have died before the line above took effect. */
        if (getppid() != setup->parent)
            _exit(127);
    }
    /* What the parent blocks or ignores is not the child's affair. */
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
}

/* What G_SPAWN_FILE_AND_ARGV_ZERO takes: the file, then argv. */
static const char **with_file(const HxProcess *process)
{
    guint words = g_strv_length((char **)process->argv);
    const char **file_and_argv = g_new0(const char *, words + 2);
    file_and_argv[0] = process->program;
    memcpy(file_and_argv + 1, process->argv, words * sizeof *process->argv);
    return file_and_argv;
}

pid_t hx_process_spawn(const HxProcess *process, GError **error)
{
    ChildSetup setup = {getpid(), process->own_session, process->outlives_parent};
    GSpawnFlags flags = G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_SEARCH_PATH;
    g_autofree int *targets = g_new(int, process->n_fds + 1);
    for (size_t i = 0; i < process->n_fds; i++)
        targets[i] = 3 + i;

    hx_autofd int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    int in = process->stdin_fd >= 0 ? process->stdin_fd : null_fd;
    int out = process->stdout_fd >= 0 ? process->stdout_fd : null_fd;
    int err = process->stderr_fd >= 0 ? process->stderr_fd : STDERR_FILENO;
    GPid pid = -1;
    g_autoptr(GError) cause = NULL;
    const char *const *argv = process->argv;
    g_autofree const char **file_and_argv = NULL;
    if (process->program) {
        file_and_argv = with_file(process);
        argv = file_and_argv;
        flags |= G_SPAWN_FILE_AND_ARGV_ZERO;
    }
    if (!g_spawn_async_with_pipes_and_fds(process->directory, argv, process->envp, flags,
                                          set_up_child, &setup, in, out, err, process->fds, targets,
                                          process->n_fds, &pid, NULL, NULL, NULL, &cause)) {
        g_set_error(error, HX_ERROR, HX_ERROR_HOST, "cannot start %s: %s", process->argv[0],
                    cause->message);
        return -1;
    }
    return pid;
}

/* The last @lines lines of @text. */
static char *tail(const char *text, int lines)
{
    g_autofree char *copy = g_strchomp(g_strdup(text));
    const char *start = copy + strlen(copy);
    while (start > copy && (start[-1] != '\n' || --lines > 0))
        start--;
    return g_strdup(start);
}

static void die_with_parent(void *data)
{
    ChildSetup setup = {GPOINTER_TO_INT(data), FALSE, FALSE};
    set_up_child(&setup);
}

gboolean hx_process_run(const char *const *argv, char **ret_stdout, GCancellable *cancellable,
                        GError **error)
{
    g_autoptr(GSubprocessLauncher) launcher =
        g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_PIPE);
    g_subprocess_launcher_set_child_setup(launcher, die_with_parent, GINT_TO_POINTER(getpid()),
                                          NULL);
    g_autoptr(GError) cause = NULL;
    g_autoptr(GSubprocess) child = g_subprocess_launcher_spawnv(launcher, argv, &cause);
    if (!child) {
        g_set_error(error, HX_ERROR, HX_ERROR_HOST, "cannot start %s: %s", argv[0], cause->message);
        return FALSE;
    }
    g_autoptr(GBytes) out = NULL;
    g_autoptr(GBytes) err = NULL;
    if (!g_subprocess_communicate(child, NULL, cancellable, &out, &err, error)) {
        g_subprocess_send_signal(child, SIGTERM);
        g_subprocess_wait(child, NULL, NULL);
        return FALSE;
    }
    if (!g_subprocess_get_if_exited(child) || g_subprocess_get_exit_status(child) != 0) {
        g_autofree char *text = g_strndup(g_bytes_get_data(err, NULL) ?: "", g_bytes_get_size(err));
        g_autofree char *last = tail(text, 3);
        g_set_error(error, HX_ERROR, HX_ERROR_FAILED, "%s failed: %s", argv[0],
                    *last ? last : "it said nothing");
        return FALSE;
    }
    if (ret_stdout)
        *ret_stdout =
            g_strndup(g_bytes_get_data(out, NULL) ?: "", MIN(g_bytes_get_size(out), OUTPUT_MAX));
    return TRUE;
}
