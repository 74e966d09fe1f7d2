/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <glib-unix.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "launcher/base/error.h"
#include "launcher/base/fd.h"
#include "launcher/base/pause.h"
#include "launcher/base/printable.h"
#include "launcher/base/process.h"
#include "launcher/image/build-internal.h"

#define GIVE_UP_AFTER_MS 10000
#define TICK_MS 1000
#define COMPLAINT_MAX 200 /* characters of it that are shown */

/* "E: " is what apt and mmdebstrap begin an error with; the first tells the cause. */
static void note_complaint(HxImageBuild *build, const char *line)
{
    if (!build->complaint && g_str_has_prefix(line, "E: "))
        build->complaint = hx_printable_start(line + strlen("E: "), COMPLAINT_MAX);
}

/* Everything up to the last newline in @pending goes to the log and to hx_build_follow(). */
static void take_lines(HxImageBuild *build, GString *pending)
{
    for (char *end; (end = memchr(pending->str, '\n', pending->len));) {
        *end = '\0';
        fprintf(build->log, "%s\n", pending->str);
        hx_build_follow(build, pending->str);
        note_complaint(build, pending->str);
        g_string_erase(pending, 0, end - pending->str + 1);
    }
    /* A line without an end is no reason to grow without one. */
    if (pending->len > 65536)
        g_string_truncate(pending, 0);
}

/* Copies what comes from @fd until all who could write to it have gone.  Cancelled, it asks process
 * group @pid to end, and after a while insists. */
static gboolean read_to_end(HxImageBuild *build, int fd, pid_t pid, gboolean in_namespace,
                            GError **error)
{
    g_autoptr(GString) pending = g_string_new(NULL);
    GPollFD polled[2] = {{.fd = fd, .events = G_IO_IN}};
    gboolean cancellable = g_cancellable_make_pollfd(build->cancellable, &polled[1]);
    gint64 kill_at = 0;
    for (;;) {
        gboolean ending = kill_at != 0;
        polled[0].revents = polled[1].revents = 0;
        int ready = g_poll(polled, cancellable && !ending ? 2 : 1, TICK_MS);
        if (!ending && g_cancellable_is_cancelled(build->cancellable)) {
            kill_at = g_get_monotonic_time() + GIVE_UP_AFTER_MS * G_TIME_SPAN_MILLISECOND;
            if (in_namespace)
                kill(pid, SIGKILL); /* what is in its namespace ends with it */
            else
                kill(-pid, SIGTERM);
        }
        if (ending && g_get_monotonic_time() >= kill_at)
            kill(-pid, SIGKILL);
        if (ready <= 0) {
            hx_build_tell(build, HX_PHASE_GOING_ON);
            continue;
        }
        if (!polled[0].revents)
            continue;
        char buffer[16384];
        ssize_t size = read(fd, buffer, sizeof buffer);
        if (size == 0 || (size < 0 && errno != EINTR))
            break;
        g_string_append_len(pending, buffer, MAX(size, 0));
        take_lines(build, pending);
    }
    if (cancellable)
        g_cancellable_release_fd(build->cancellable);
    return !hx_is_cancelled(build->cancellable, error);
}

gboolean hx_build_run(HxImageBuild *build, const char *const *argv, const char *called,
                      gboolean in_namespace, GError **error)
{
    g_autofree char *command = g_strjoinv(" ", (char **)argv);
    fprintf(build->log, "+ %s\n", command);
    g_clear_pointer(&build->complaint, g_free);
    int ends[2];
    if (!g_unix_open_pipe(ends, FD_CLOEXEC, error))
        return FALSE;
    hx_autofd int reading = ends[0];
    hx_autofd int writing = ends[1];
    g_auto(GStrv) environment = g_get_environ();
    environment = g_environ_setenv(environment, "LC_ALL", "C.UTF-8", TRUE);
    environment = g_environ_setenv(environment, "TMPDIR", build->building, TRUE);
    /* The kernel's package would spend 15 s on an initial ramdisk that nothing boots. */
    environment = g_environ_setenv(environment, "INITRD", "No", TRUE);
    HxProcess process = {
        .argv = argv,
        .envp = (const char *const *)environment,
        .stdin_fd = -1,
        .stdout_fd = writing,
        .stderr_fd = writing,
        .own_session = TRUE,
    };
    pid_t pid = hx_process_spawn(&process, error);
    if (pid < 0)
        return FALSE;
    hx_close(&writing);
    gboolean done = read_to_end(build, reading, pid, in_namespace, error);
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (!done)
        return FALSE;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return TRUE;
    g_set_error(error, HX_ERROR, HX_ERROR_FAILED, "%s failed (%s %d)%s%s", called,
                WIFSIGNALED(status) ? "signal" : "exit status",
                WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
                build->complaint ? ": " : "", build->complaint ?: "");
    return FALSE;
}
