/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/doctor/trial.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "launcher/base/deadline.h"
#include "launcher/base/error.h"
#include "launcher/base/fd.h"
#include "launcher/base/process.h"

#define OUTPUT_MAX (64 * 1024)
#define KILL_MS 3000

struct HxTrial {
    char *name;
    pid_t pid;
    int fd;
    GString *output;
};

/* A pipe that holds @input and its end; -1 with @error. */
static int input_pipe(const char *input, GError **error)
{
    int pair[2];
    if (!g_unix_open_pipe(pair, O_CLOEXEC, error))
        return -1;
    hx_autofd int read_end = pair[0];
    hx_autofd int write_end = pair[1];
    int r = hx_write_all(write_end, input, strlen(input));
    if (r < 0) {
        hx_set_error_errno(error, HX_ERROR_HOST, -r, "cannot write to a pipe");
        return -1;
    }
    return hx_steal_fd(&read_end);
}

HxTrial *hx_trial_start(const char *const *argv, const char *const *envp, const char *input,
                        GError **error)
{
    int pair[2];
    hx_autofd int input_end = input ? input_pipe(input, error) : -1;
    if ((input && input_end < 0) || !g_unix_open_pipe(pair, O_CLOEXEC, error))
        return NULL;
    hx_autofd int read_end = pair[0];
    hx_autofd int write_end = pair[1];
    HxProcess process = {
        .argv = argv,
        .envp = envp,
        .stdin_fd = input_end,
        .stdout_fd = write_end,
        .stderr_fd = write_end,
        .own_session = TRUE,
    };
    pid_t pid = hx_process_spawn(&process, error);
    if (pid < 0)
        return NULL;
    HxTrial *trial = g_new0(HxTrial, 1);
    trial->name = g_path_get_basename(argv[0]);
    trial->pid = pid;
    trial->fd = hx_steal_fd(&read_end);
    trial->output = g_string_new(NULL);
    return trial;
}

/* Read what there is; FALSE at the end of the output. */
static gboolean read_more(HxTrial *trial)
{
    char buffer[4096];
    ssize_t n = read(trial->fd, buffer, sizeof buffer);
    if (n < 0)
        return errno == EINTR;
    if (trial->output->len < OUTPUT_MAX)
        g_string_append_len(trial->output, buffer, n);
    return n > 0;
}

/* Reap it when it has ended, within @milliseconds.  FALSE where it does not end. */
static gboolean wait_end(HxTrial *trial, int milliseconds, int *ret_status)
{
    hx_autofd int pidfd = pidfd_open(trial->pid, 0);
    struct pollfd process = {.fd = pidfd, .events = POLLIN};
    gint64 deadline = g_get_monotonic_time() + milliseconds * G_TIME_SPAN_MILLISECOND;
    while (poll(&process, 1, hx_time_left(deadline) / G_TIME_SPAN_MILLISECOND) < 0 &&
           errno == EINTR) {
    }
    if (waitpid(trial->pid, ret_status, WNOHANG) != trial->pid)
        return FALSE;
    trial->pid = 0;
    return TRUE;
}

/* FALSE with @error where it did not end with status 0 within @milliseconds. */
static gboolean reap(HxTrial *trial, int milliseconds, GError **error)
{
    int status = 0;
    if (!wait_end(trial, milliseconds, &status)) {
        g_set_error(error, HX_ERROR, HX_ERROR_TIMEOUT, "%s has said all it had, and does not end",
                    trial->name);
        return FALSE;
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return TRUE;
    g_autofree char *line = hx_trial_telling_line(trial->output->str);
    if (line)
        g_set_error_literal(error, HX_ERROR, HX_ERROR_HOST, line);
    else if (WIFSIGNALED(status))
        g_set_error(error, HX_ERROR, HX_ERROR_HOST, "%s was ended by signal %d (%s)", trial->name,
                    WTERMSIG(status), g_strsignal(WTERMSIG(status)));
    else
        g_set_error(error, HX_ERROR, HX_ERROR_HOST, "%s ended with status %d", trial->name,
                    WEXITSTATUS(status));
    return FALSE;
}

static gboolean has_evidence(const HxTrial *trial, const char *evidence)
{
    return g_regex_match_simple(evidence, trial->output->str, G_REGEX_MULTILINE | G_REGEX_RAW, 0);
}

gboolean hx_trial_await(HxTrial *trial, const char *evidence, guint seconds, GError **error)
{
    gint64 deadline = g_get_monotonic_time() + seconds * G_TIME_SPAN_SECOND;
    for (;;) {
        if (evidence && has_evidence(trial, evidence))
            return TRUE;
        gint64 left = (deadline - g_get_monotonic_time()) / G_TIME_SPAN_MILLISECOND;
        struct pollfd waiting = {.fd = trial->fd, .events = POLLIN};
        int n = left > 0 ? poll(&waiting, 1, left) : 0;
        if (n == 0) {
            g_autofree char *line = hx_trial_telling_line(trial->output->str);
            g_set_error(error, HX_ERROR, HX_ERROR_TIMEOUT, "%s did not get there within %u s%s%s",
                        trial->name, seconds, line ? ": " : "", line ? line : "");
            return FALSE;
        }
        if (n > 0 && !read_more(trial))
            break;
    }
    gint64 left = (deadline - g_get_monotonic_time()) / G_TIME_SPAN_MILLISECOND;
    if (!reap(trial, MAX(left, 0), error))
        return FALSE;
    if (!evidence || has_evidence(trial, evidence))
        return TRUE;
    g_set_error(error, HX_ERROR, HX_ERROR_HOST, "%s ended early", trial->name);
    return FALSE;
}

const char *hx_trial_output(const HxTrial *trial)
{
    return trial->output->str;
}

void hx_trial_free(HxTrial *trial)
{
    if (!trial)
        return;
    if (trial->pid > 0) {
        /* One that hangs in the kernel does not end by that either: nothing waits for it. */
        kill(trial->pid, SIGKILL);
        wait_end(trial, KILL_MS, NULL);
    }
    close(trial->fd);
    g_string_free(trial->output, TRUE);
    g_free(trial->name);
    g_free(trial);
}

char *hx_trial_telling_line(const char *output)
{
    g_auto(GStrv) lines = g_strsplit(output, "\n", -1);
    const char *first = NULL;
    for (char **line = lines; *line; line++) {
        const char *text = g_strstrip(*line);
        if (!*text || g_str_has_suffix(text, ":"))
            continue;
        if (strstr(text, "rror"))
            return g_strdup(text);
        if (!first)
            first = text;
    }
    return g_strdup(first);
}
