/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "encoder/qemu-module/module.h"
#include "launcher/base/fd.h"
#include "launcher/base/log.h"

#define DEFAULT_SERVER "/usr/libexec/virgl_render_server"
#define SERVER_FD 3

static int client_fd = -1;

/* Runs between fork and exec: async-signal-safe calls alone. */
G_NORETURN static void become_server(const char *path, int socket_fd, pid_t parent)
{
    static char option[] = "--socket-fd";
    static char number[] = G_STRINGIFY(SERVER_FD);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    /* The parent may have died before the line above took effect. */
    if (getppid() != parent)
        _exit(127);
    int null_fd = open("/dev/null", O_RDONLY);
    if (null_fd < 0 || dup2(null_fd, STDIN_FILENO) < 0)
        _exit(127);
    /* dup2() to itself would leave close-on-exec set. */
    if (socket_fd == SERVER_FD ? fcntl(socket_fd, F_SETFD, 0) < 0 : dup2(socket_fd, SERVER_FD) < 0)
        _exit(127);
    /* libvirt hands QEMU descriptors that no other program may have. */
    if (close_range(SERVER_FD + 1, ~0u, 0) < 0)
        _exit(127);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    char *const arguments[] = {(char *)path, option, number, NULL};
    execv(path, arguments);
    _exit(127);
}

static gboolean on_server_end(int pidfd, GIOCondition condition, void *data)
{
    siginfo_t info = {0};
    waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED | WNOHANG);
    hx_log_warning("virgl_render_server has ended (%s %d): Vulkan in the guest needs a restart of "
                   "the VM",
                   info.si_code == CLD_EXITED ? "status" : "signal", info.si_status);
    close(pidfd);
    return G_SOURCE_REMOVE;
}

void hx_render_server_start(void)
{
    const char *path = g_getenv("HELIXVM_RENDER_SERVER") ?: DEFAULT_SERVER;
    if (access(path, X_OK) < 0) {
        hx_log_warning("no Vulkan (Venus) in the guest: cannot run %s: %s", path,
                       g_strerror(errno));
        return;
    }
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
        hx_log_warning("no Vulkan (Venus) in the guest: socketpair: %s", g_strerror(errno));
        return;
    }
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0)
        become_server(path, pair[1], parent);
    close(pair[1]);
    if (pid < 0) {
        hx_log_warning("no Vulkan (Venus) in the guest: fork: %s", g_strerror(errno));
        close(pair[0]);
        return;
    }
    client_fd = pair[0];
    int pidfd = pidfd_open(pid, 0);
    if (pidfd >= 0)
        g_unix_fd_add(pidfd, G_IO_IN, on_server_end, NULL);
    hx_log_info("started %s, pid %d", path, pid);
}

int hx_render_server_take_fd(void)
{
    return hx_steal_fd(&client_fd);
}
