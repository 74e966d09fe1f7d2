/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A process beside QEMU: its start, its logs, its end. */
#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "launcher/base/error.h"
#include "launcher/base/fd.h"
#include "launcher/base/log.h"
#include "launcher/base/process.h"
#include "launcher/monitor/internal.h"
#include "launcher/vm/log-file.h"

#define LOG_BOUND_SECONDS 10
#define STOP_TIMEOUT_MS 3000

static char *describe_end(int status)
{
    if (WIFSIGNALED(status))
        return g_strdup_printf("was ended by signal %d (%s)", WTERMSIG(status),
                               g_strsignal(WTERMSIG(status)));
    return g_strdup_printf("ended with status %d", WEXITSTATUS(status));
}

static void on_part_ended(GPid pid, int status, void *data)
{
    HxPart *part = data;
    g_autofree char *how = describe_end(status);
    part->pid = 0;
    part->watch = 0;
    hx_log_info("%s (pid %d) %s", part->name, (int)pid, how);
    if (!part->stopping && part->ended)
        part->ended(part->monitor, how);
}

static gboolean bound_logs(void *data)
{
    HxMonitor *monitor = data;
    static const char *const logs[] = {"monitor.log", HX_VSOCK_LOG, HX_ENCODER_LOG};
    for (size_t i = 0; i < G_N_ELEMENTS(logs); i++)
        hx_log_file_bound(hx_vm_state_path(monitor->vm, logs[i]));
    return G_SOURCE_CONTINUE;
}

gboolean hx_part_spawn(HxPart *part, HxMonitor *monitor, const char *name, GPtrArray *argv,
                       const int *fds, size_t n_fds, GError **error)
{
    part->monitor = monitor;
    part->name = name;
    part->stopping = FALSE;
    g_ptr_array_add(argv, NULL);
    if (!monitor->log_timer)
        monitor->log_timer = g_timeout_add_seconds(LOG_BOUND_SECONDS, bound_logs, monitor);
    hx_autofd int log = -1;
    if (part->log) {
        log =
            hx_log_file_open(hx_vm_state_path(monitor->vm, part->log), part->restarts == 0, error);
        if (log < 0)
            return FALSE;
    }
    HxProcess process = {
        .argv = (const char *const *)argv->pdata,
        .program = part->program,
        .stdin_fd = -1,
        .stdout_fd = -1,
        .stderr_fd = log >= 0 ? log : monitor->log_fd,
        .fds = fds,
        .n_fds = n_fds,
        .own_session = TRUE,
        .outlives_parent = part->outlives_monitor,
    };
    part->pid = hx_process_spawn(&process, error);
    if (part->pid < 0) {
        part->pid = 0;
        return FALSE;
    }
    part->watch = g_child_watch_add(part->pid, on_part_ended, part);
    return TRUE;
}

/* What comes on a pipe up to the first newline, while the main loop runs. */
typedef struct {
    GString *line;
    gboolean complete, closed;
} ReadyLine;

static gboolean on_ready_line(int fd, GIOCondition condition, void *data)
{
    ReadyLine *ready = data;
    char buffer[64];
    ssize_t n = read(fd, buffer, sizeof buffer);
    if (n > 0)
        g_string_append_len(ready->line, buffer, n);
    if (n == 0 || (n < 0 && errno != EINTR) || ready->line->len > 256)
        ready->closed = TRUE;
    if (strchr(ready->line->str, '\n'))
        ready->complete = TRUE;
    return ready->complete || ready->closed ? G_SOURCE_REMOVE : G_SOURCE_CONTINUE;
}

static gboolean has_spoken(void *data)
{
    const ReadyLine *ready = data;
    return ready->complete || ready->closed;
}

char *hx_part_await_line(HxPart *part, int fd, GError **error)
{
    ReadyLine ready = {.line = g_string_new(NULL)};
    guint source = g_unix_fd_add(fd, G_IO_IN | G_IO_HUP, on_ready_line, &ready);
    if (!hx_monitor_iterate(has_spoken, &ready, HX_PART_START_MS))
        g_source_remove(source);
    char *line = g_strstrip(g_string_free(ready.line, FALSE));
    if (ready.complete)
        return line;
    g_free(line);
    g_set_error(error, HX_ERROR, HX_ERROR_HOST, "%s did not get ready%s: see %s", part->name,
                ready.closed ? "" : " in 10 s",
                hx_vm_state_path(part->monitor->vm, part->log ? part->log : "monitor.log"));
    return NULL;
}

int hx_part_begin(HxPart *part, HxMonitor *monitor, const char *name, GPtrArray *argv,
                  const int *fds, size_t n_fds, GError **error)
{
    int pipe_fds[2];
    if (!g_unix_open_pipe(pipe_fds, FD_CLOEXEC, error))
        return -1;
    hx_autofd int read_end = pipe_fds[0];
    hx_autofd int write_end = pipe_fds[1];
    g_autofree int *all = g_new(int, n_fds + 1);
    for (size_t i = 0; i < n_fds; i++)
        all[i] = fds[i];
    all[n_fds] = write_end;
    return hx_part_spawn(part, monitor, name, argv, all, n_fds + 1, error) ? hx_steal_fd(&read_end)
                                                                           : -1;
}

static gboolean has_ended(void *data)
{
    return ((HxPart *)data)->pid == 0;
}

void hx_part_stop(HxPart *part)
{
    part->stopping = TRUE;
    if (!part->pid)
        return;
    kill(part->pid, SIGTERM);
    if (hx_monitor_iterate(has_ended, part, STOP_TIMEOUT_MS))
        return;
    hx_log_warning("%s does not end: killing it", part->name);
    kill(part->pid, SIGKILL);
    hx_monitor_iterate(has_ended, part, 0);
}
