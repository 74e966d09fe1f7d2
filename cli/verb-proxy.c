/* SPDX-License-Identifier: GPL-2.0-or-later */
/* helixvm proxy: connects a program to the guest's SSH port, for `ssh-config`; not for people.
 *
 * The host key is pinned before the program sees the connection: it is then the same that helixvm
 * itself accepts, and the program need not accept any on its own. */
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/guest.h"
#include "cli/verb.h"
#include "launcher/base/error.h"
#include "launcher/base/fd.h"

static gboolean pin_host_key(HxVm *vm, const HxGuest *guest, GError **error)
{
    if (g_file_test(hx_vm_known_hosts_path(vm), G_FILE_TEST_EXISTS))
        return TRUE;
    g_autoptr(HxSsh) ssh = hx_guest_ssh(guest, error);
    return ssh != NULL;
}

/* Hand @fd over on stdout: one byte with it, as ssh(1) awaits it (ProxyUseFdpass). */
static gboolean pass_fd(int fd, GError **error)
{
    char byte = 0;
    struct iovec data = {&byte, 1};
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct msghdr message = {
        .msg_iov = &data,
        .msg_iovlen = 1,
        .msg_control = control.space,
        .msg_controllen = sizeof control.space,
    };
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof fd);
    *(int *)CMSG_DATA(header) = fd;
    ssize_t n;
    while ((n = sendmsg(STDOUT_FILENO, &message, MSG_NOSIGNAL)) < 0 && errno == EINTR) {
    }
    if (n == 1)
        return TRUE;
    hx_set_error_errno(error, HX_ERROR_USAGE, errno,
                       "cannot hand the connection over on stdout, which --fdpass wants to be "
                       "a Unix socket");
    return FALSE;
}

typedef struct {
    int from, to;
    gboolean is_open;
} Direction;

/* Pass on one chunk.  FALSE with @error where the other side takes no more. */
static gboolean pass_chunk(Direction *way, GError **error)
{
    char buffer[64 * 1024];
    ssize_t n = read(way->from, buffer, sizeof buffer);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return TRUE;
    if (n > 0) {
        int r = hx_write_all(way->to, buffer, n);
        if (r < 0)
            hx_set_error_errno(error, HX_ERROR_PROTOCOL, -r, "the connection to the guest broke");
        return r == 0;
    }
    way->is_open = FALSE;
    if (way->from == STDIN_FILENO)
        shutdown(way->to, SHUT_WR);
    return TRUE;
}

/* Until the guest has closed its side, or the program that asked for it has enough. */
static gboolean pass_bytes(int fd, GError **error)
{
    Direction in = {STDIN_FILENO, fd, TRUE}, out = {fd, STDOUT_FILENO, TRUE};
    GPollFD cancelled = {.fd = -1};
    g_cancellable_make_pollfd(hx_verb_cancellable(), &cancelled);
    gboolean good = TRUE;
    while (good && out.is_open && !g_cancellable_is_cancelled(hx_verb_cancellable())) {
        struct pollfd fds[] = {
            {.fd = in.is_open ? in.from : -1, .events = POLLIN},
            {.fd = out.from, .events = POLLIN},
            {.fd = cancelled.fd, .events = POLLIN},
        };
        if (poll(fds, G_N_ELEMENTS(fds), -1) < 0)
            continue;
        if (fds[1].revents)
            good = pass_chunk(&out, error);
        if (good && fds[0].revents)
            good = pass_chunk(&in, error);
    }
    g_cancellable_release_fd(hx_verb_cancellable());
    return good;
}

gboolean hx_verb_proxy(int argc, char **argv, GError **error)
{
    gboolean fdpass = FALSE;
    const GOptionEntry options[] = {
        {"fdpass", 0, 0, G_OPTION_ARG_NONE, &fdpass,
         "hand the connection over on stdout, a Unix socket, in place of passing bytes", NULL},
        G_OPTION_ENTRY_NULL,
    };
    g_autoptr(HxVm) vm = hx_verb_parse_vm(options, &argc, &argv, error);
    if (!vm)
        return FALSE;
    HxGuest guest = hx_verb_guest(vm);
    if (!pin_host_key(vm, &guest, error))
        return FALSE;
    hx_autofd int fd = hx_vm_connect(vm, HX_GUEST_SSH_PORT, hx_verb_cancellable(), error);
    if (fd < 0)
        return FALSE;
    return fdpass ? pass_fd(fd, error) : pass_bytes(fd, error);
}
