/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/stream-recorder.h"

#include <fcntl.h>
#include <sys/wait.h>

#include "launcher/base/error.h"
#include "launcher/base/fd.h"
#include "launcher/base/process.h"

#define REASON_MAX 1024
/* So that a disk's pause is no gap of the stream's; what the kernel does not give is not needed. */
#define PIPE_SIZE (1024 * 1024)

struct HxStreamRecorder {
    pid_t pid;  /* 0: reaped */
    int frames; /* its stdin; -1: closed */
    int reason; /* its stderr */
};

/* The terminal's Ctrl-C is not for it, and the end of helixvm no reason to leave a file without its
 * index: it ends by the end of the frames. */
static pid_t spawn(const HxStreamRecorderFiles *files, int frames, int reason, GError **error)
{
    int fds[2], n_fds = 0;
    g_autoptr(GPtrArray) argv = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(argv, g_strdup("helixvm-recorder"));
    if (files->recording_fd >= 0) {
        g_ptr_array_add(argv, g_strdup_printf("--format=%s", files->format));
        g_ptr_array_add(argv, g_strdup_printf("--recording-fd=%d", 3 + n_fds));
        fds[n_fds++] = files->recording_fd;
    }
    if (files->snapshot_fd >= 0) {
        g_ptr_array_add(argv, g_strdup_printf("--snapshot-fd=%d", 3 + n_fds));
        fds[n_fds++] = files->snapshot_fd;
    }
    g_ptr_array_add(argv, NULL);
    /* It reads what a session sends, and has no business with a server's key. */
    g_auto(GStrv) environment = g_environ_unsetenv(g_get_environ(), "HELIX_API_KEY");
    const HxProcess process = {.argv = (const char *const *)argv->pdata,
                               .envp = (const char *const *)environment,
                               .program = files->program,
                               .stdin_fd = frames,
                               .stdout_fd = -1,
                               .stderr_fd = reason,
                               .fds = fds,
                               .n_fds = n_fds,
                               .own_session = TRUE,
                               .outlives_parent = TRUE};
    return hx_process_spawn(&process, error);
}

HxStreamRecorder *hx_stream_recorder_start(const HxStreamRecorderFiles *files, GError **error)
{
    int frames[2] = {-1, -1}, reason[2] = {-1, -1};
    g_autoptr(HxStreamRecorder) recorder = g_new0(HxStreamRecorder, 1);
    gboolean good = pipe2(frames, O_CLOEXEC) == 0 && pipe2(reason, O_CLOEXEC) == 0;
    recorder->frames = frames[1];
    recorder->reason = reason[0];
    if (good) {
        fcntl(frames[1], F_SETPIPE_SZ, PIPE_SIZE);
        recorder->pid = spawn(files, frames[0], reason[1], error);
    } else {
        hx_set_error_errno(error, HX_ERROR_HOST, errno, "cannot make a pipe");
    }
    hx_close(&frames[0]);
    hx_close(&reason[1]);
    if (recorder->pid <= 0) {
        recorder->pid = 0;
        return NULL;
    }
    return g_steal_pointer(&recorder);
}

/* Wait for its end; its status as waitpid(2) tells it. */
static int end(HxStreamRecorder *recorder)
{
    int status = 0;
    hx_close(&recorder->frames);
    while (recorder->pid && waitpid(recorder->pid, &status, 0) < 0 && errno == EINTR) {
    }
    recorder->pid = 0;
    return status;
}

gboolean hx_stream_recorder_finish(HxStreamRecorder *recorder, GError **error)
{
    char reason[REASON_MAX];
    int status = end(recorder);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return TRUE;
    /* It is short, and lies in the pipe. */
    ssize_t size = read(recorder->reason, reason, sizeof reason);
    g_autofree char *text = g_strchomp(g_strndup(reason, MAX(size, 0)));
    if (WIFSIGNALED(status))
        g_set_error(error, HX_ERROR, HX_ERROR_HOST, "helixvm-recorder was killed by signal %d%s%s",
                    WTERMSIG(status), *text ? ": " : "", text);
    else
        g_set_error(error, HX_ERROR, HX_ERROR_HOST, "%s",
                    *text ? text : "helixvm-recorder failed, and did not say why");
    return FALSE;
}

gboolean hx_stream_recorder_add(HxStreamRecorder *recorder, const HxStreamFrame *frame,
                                GError **error)
{
    g_autoptr(GBytes) message = hx_stream_encode_frame(frame);
    gsize size;
    const void *data = g_bytes_get_data(message, &size);
    guint32 length = GUINT32_TO_BE((guint32)size);
    if (hx_write_all(recorder->frames, &length, sizeof length) == 0 &&
        hx_write_all(recorder->frames, data, size) == 0)
        return TRUE;
    if (hx_stream_recorder_finish(recorder, error))
        g_set_error_literal(error, HX_ERROR, HX_ERROR_HOST, "helixvm-recorder ended early");
    return FALSE;
}

void hx_stream_recorder_free(HxStreamRecorder *recorder)
{
    if (!recorder)
        return;
    end(recorder);
    hx_close(&recorder->reason);
    g_free(recorder);
}
