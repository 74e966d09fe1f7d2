/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guest-provision/session/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* sd_listen_fds(3). */
enum { LISTEN_FDS_START = 3 };

struct SessionChild {
    char *name;
    pid_t pid; /* 0 once reaped */
    int pidfd;
    guint watch;
    SessionChildEnded ended;
    void *data;
};

static int open_pidfd(pid_t pid)
{
    return (int)syscall(SYS_pidfd_open, pid, 0);
}

static void child_ended(GPid pid, int status, void *data)
{
    SessionChild *child = data;
    child->pid = 0;
    child->watch = 0;
    child->ended(child, status, child->data);
}

/* Decimal digits of @value at @text: what snprintf may not be used for after a fork. */
static void put_decimal(char *text, unsigned int value)
{
    char digits[16];
    int n = 0;
    do {
        digits[n++] = (char)('0' + value % 10);
    } while (value /= 10);
    while (n)
        *text++ = digits[--n];
    *text = '\0';
}

/* Between fork and exec, where only async-signal-safe functions may be called. */
static void become(const SessionChildSpec *spec, char *const *argv, char *const *envp, char *pid,
                   pid_t parent, int report)
{
    struct sigaction standard = {.sa_handler = SIG_DFL};
    sigset_t none;
    sigemptyset(&none);
    for (int i = 1; i < NSIG; i++)
        sigaction(i, &standard, NULL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
        goto fail;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0 ||
        dup2(spec->stdout_fd >= 0 ? spec->stdout_fd : STDERR_FILENO, STDOUT_FILENO) < 0)
        goto fail;
    put_decimal(pid, (unsigned int)getpid());
    if (spec->listen_fd == LISTEN_FDS_START) {
        if (fcntl(LISTEN_FDS_START, F_SETFD, 0) < 0)
            goto fail;
    } else if (spec->listen_fd >= 0) {
        /* The report's descriptor is above: the parent made it so. */
        if (dup2(spec->listen_fd, LISTEN_FDS_START) < 0)
            goto fail;
    }
    execvpe(argv[0], argv, envp);
fail:;
    int failure = errno;
    ssize_t ignored = write(report, &failure, sizeof failure);
    (void)ignored;
    _exit(127);
}

static char **environment_of(const SessionChildSpec *spec, char **ret_pid)
{
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    for (const char *const *item = spec->envp; *item; item++)
        g_strv_builder_add(builder, *item);
    if (spec->listen_fd >= 0)
        g_strv_builder_add(builder, "LISTEN_FDS=1");
    g_strv_builder_add(builder, "LISTEN_PID=0000000000000000");
    char **environment = g_strv_builder_end(builder);
    *ret_pid = environment[g_strv_length(environment) - 1] + strlen("LISTEN_PID=");
    return environment;
}

/* What the child had to say before its exec closed the pipe: errno, or 0. */
static int read_report(int fd)
{
    int failure = 0;
    ssize_t got;
    do {
        got = read(fd, &failure, sizeof failure);
    } while (got < 0 && errno == EINTR);
    return got == (ssize_t)sizeof failure ? failure : 0;
}

static pid_t fork_and_become(const SessionChildSpec *spec, int *ret_failure)
{
    int pipe_fds[2];
    *ret_failure = 0;
    if (pipe2(pipe_fds, O_CLOEXEC) < 0) {
        *ret_failure = errno;
        return -1;
    }
    int report = fcntl(pipe_fds[1], F_DUPFD_CLOEXEC, LISTEN_FDS_START + 1);
    close(pipe_fds[1]);
    char *pid_text;
    g_auto(GStrv) envp = environment_of(spec, &pid_text);
    pid_t parent = getpid();
    pid_t pid = report < 0 ? -1 : fork();
    if (pid == 0)
        become(spec, (char *const *)spec->argv, envp, pid_text, parent, report);
    if (pid < 0)
        *ret_failure = errno;
    if (report >= 0)
        close(report);
    if (pid > 0)
        *ret_failure = read_report(pipe_fds[0]);
    close(pipe_fds[0]);
    return pid;
}

SessionChild *session_child_start(const SessionChildSpec *spec, GError **error)
{
    int failure;
    pid_t pid = fork_and_become(spec, &failure);
    if (failure) {
        if (pid > 0)
            waitpid(pid, NULL, 0);
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(failure), "cannot start %s: %s",
                    spec->argv[0], g_strerror(failure));
        return NULL;
    }
    SessionChild *child = g_new0(SessionChild, 1);
    child->name = g_path_get_basename(spec->argv[0]);
    child->pid = pid;
    child->pidfd = open_pidfd(pid);
    child->ended = spec->ended;
    child->data = spec->data;
    child->watch = g_child_watch_add(pid, child_ended, child);
    return child;
}

const char *session_child_name(const SessionChild *child)
{
    return child->name;
}

void session_child_terminate(SessionChild *child)
{
    if (child && child->pid)
        kill(child->pid, SIGTERM);
}

void session_child_free(SessionChild *child, gint64 deadline)
{
    if (!child)
        return;
    if (child->watch)
        g_source_remove(child->watch);
    if (child->pid) {
        gint64 left = deadline - g_get_monotonic_time();
        struct pollfd fd = {.fd = child->pidfd, .events = POLLIN};
        if (child->pidfd < 0 || poll(&fd, 1, left > 0 ? (int)(left / 1000) + 1 : 0) != 1)
            kill(child->pid, SIGKILL);
        while (waitpid(child->pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    if (child->pidfd >= 0)
        close(child->pidfd);
    g_free(child->name);
    g_free(child);
}

char *session_child_describe(int status)
{
    if (WIFSIGNALED(status))
        return g_strdup_printf("was killed by signal %d (%s)", WTERMSIG(status),
                               g_strsignal(WTERMSIG(status)));
    return g_strdup_printf("exited with status %d", WEXITSTATUS(status));
}
