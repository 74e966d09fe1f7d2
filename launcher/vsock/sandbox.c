/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A guest that took this process over would have the host's sockets that its descriptors are, those
 * that its user may connect to, and no more: launcher/base/sandbox.c. */
#include "launcher/vsock/sandbox.h"

#include "launcher/base/sandbox.h"

static const char *const allowed[] = {
    /* events and time */
    "epoll_wait", "epoll_pwait", "epoll_pwait2", "epoll_ctl", "clock_gettime", "gettimeofday",
    "futex", "restart_syscall",
    /* sockets, of those that are there */
    "accept4", "connect", "recvfrom", "recvmsg", "sendto", "sendmsg", "shutdown", "setsockopt",
    "getsockopt",
    /* descriptors: QEMU's are looked at, not opened */
    "read", "readv", "write", "writev", "close", "fcntl", "fstat", "fstatfs", "readlink",
    "readlinkat", "unlink", "unlinkat",
    /* memory; mmap and mprotect have rules of their own */
    "munmap", "mremap", "madvise", "brk",
    /* signals, and the end */
    "rt_sigreturn", "rt_sigprocmask", "rt_sigaction", "getpid", "gettid", "exit", "exit_group",
    NULL};

gboolean hx_vsock_enter_sandbox(const char *const *paths, GError **error)
{
    const HxSandbox sandbox = {
        .program = "helixvm-vsock: ",
        .system_calls = allowed,
        .removable = paths,
    };
    return hx_sandbox_enter(&sandbox, error);
}
