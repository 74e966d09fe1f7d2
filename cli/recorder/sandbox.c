/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A guest that took this process over would have the files that it writes, and no more:
 * launcher/base/sandbox.c. */
#include "cli/recorder/sandbox.h"

#include "launcher/base/sandbox.h"

static const char *const allowed[] = {
    /* descriptors */
    "read", "write", "writev", "lseek", "close", "fstat", "newfstatat",
    "sendto", /* hx_write_all, of what may be a socket */
    /* time, and how many CPUs there are */
    "clock_gettime", "gettimeofday", "sched_getaffinity", "futex", "restart_syscall",
    /* memory; mmap and mprotect have rules of their own */
    "munmap", "mremap", "madvise", "brk",
    /* signals, and the end */
    "rt_sigreturn", "rt_sigprocmask", "rt_sigaction", "getpid", "gettid", "exit", "exit_group",
    NULL};

gboolean recorder_enter_sandbox(GError **error)
{
    const HxSandbox sandbox = {.program = "", .system_calls = allowed};
    return hx_sandbox_enter(&sandbox, error);
}
