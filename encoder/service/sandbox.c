/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A guest that took this process over would have the pictures of its own GPU, the sockets that its
 * descriptors are, those that its user may connect to, and no more: launcher/base/sandbox.c. */
#include "encoder/service/sandbox.h"

#include "launcher/base/sandbox.h"

static const char *const allowed[] = {
    /* events and time */
    "poll", "ppoll", "eventfd2", "clock_gettime", "clock_nanosleep", "gettimeofday", "futex",
    "restart_syscall",
    /* sockets, of those that are there, and one to the module in QEMU */
    "accept4", "connect", "recvfrom", "recvmsg", "sendto", "sendmsg", "shutdown", "setsockopt",
    "getsockopt",
    /* descriptors */
    "read", "write", "writev", "close", "fcntl", "fstat",
    /* memory; mmap and mprotect have rules of their own */
    "munmap", "mremap", "madvise", "brk",
    /* signals, and the end */
    "rt_sigreturn", "rt_sigprocmask", "rt_sigaction", "getpid", "gettid", "exit", "exit_group",
    NULL};

gboolean hx_encoder_enter_sandbox(GError **error)
{
    const HxSandbox sandbox = {
        .program = "helixvm-encoder: ",
        .system_calls = allowed,
        .threads = TRUE,
    };
    return hx_sandbox_enter(&sandbox, error);
}
