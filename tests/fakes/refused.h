/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What every sandbox of helixvm's refuses, tried from within. */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "launcher/base/sanitised.h"

#define assert_refused(call, error)                                                                \
    do {                                                                                           \
        errno = 0;                                                                                 \
        g_assert_cmpint((long)(call), ==, -1);                                                     \
        g_assert_cmpint(errno, ==, (error));                                                       \
    } while (0)

static inline void assert_common_calls_refused(void)
{
    assert_refused(execl("/bin/true", "true", NULL), EPERM);
    assert_refused(socket(AF_INET, SOCK_STREAM, 0), EPERM);
    assert_refused(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
                   EPERM);
    assert_refused(setuid(0), EPERM);
    assert_refused(chmod("/", 0755), EPERM);
    assert_refused(syscall(SYS_bpf, 0, NULL, 0), EPERM);
    assert_refused(memfd_create("more", 0), EPERM);
    if (HX_SANITISED)
        return;
    assert_refused(open("/etc/passwd", O_RDONLY), EPERM);
    assert_refused(ptrace(PTRACE_ATTACH, getppid(), NULL, NULL), EPERM);
    assert_refused(kill(getppid(), 0), EPERM);
    assert_refused(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0), EPERM);
}
