/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/domain/qemu-process.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "launcher/base/error.h"
#include "launcher/base/fd.h"

#define TERM_MS 10000
#define KILL_MS 5000

/* libvirt names the domain to QEMU by the arguments "-uuid" UUID. */
static gboolean is_qemu_of(pid_t pid, const char *uuid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/cmdline", (int)pid);
    g_autofree char *arguments = NULL;
    gsize size = 0;
    if (!g_file_get_contents(path, &arguments, &size, NULL))
        return FALSE;
    gboolean is_next = FALSE;
    for (gsize i = 0; i < size; i += strlen(arguments + i) + 1) {
        if (is_next && g_str_equal(arguments + i, uuid))
            return TRUE;
        is_next = g_str_equal(arguments + i, "-uuid");
    }
    return FALSE;
}

static gboolean ends(int pidfd, int timeout_ms)
{
    struct pollfd process = {.fd = pidfd, .events = POLLIN};
    int n;
    do
        n = poll(&process, 1, timeout_ms);
    while (n < 0 && errno == EINTR);
    return n > 0;
}

static gboolean end_process(pid_t pid, const char *uuid, GError **error)
{
    hx_autofd int pidfd = pidfd_open(pid, 0);
    /* It may have ended before, and another process have its number. */
    if (pidfd < 0 || !is_qemu_of(pid, uuid))
        return TRUE;
    if (pidfd_send_signal(pidfd, SIGTERM, NULL, 0) < 0 && errno != ESRCH) {
        hx_set_error_errno(error, HX_ERROR_HOST, errno, "cannot signal QEMU, pid %d", (int)pid);
        return FALSE;
    }
    if (ends(pidfd, TERM_MS))
        return TRUE;
    pidfd_send_signal(pidfd, SIGKILL, NULL, 0);
    if (ends(pidfd, KILL_MS))
        return TRUE;
    g_set_error(error, HX_ERROR, HX_ERROR_TIMEOUT,
                "QEMU, pid %d, was sent SIGKILL and has not ended within %d s: its host's disk or "
                "device may hang, see `dmesg`",
                (int)pid, KILL_MS / 1000);
    return FALSE;
}

gboolean hx_qemu_end(const char *uuid, GError **error)
{
    g_autoptr(GDir) processes = g_dir_open("/proc", 0, error);
    if (!processes)
        return FALSE;
    const char *name;
    while ((name = g_dir_read_name(processes))) {
        pid_t pid = atoi(name);
        if (pid > 0 && is_qemu_of(pid, uuid) && !end_process(pid, uuid, error))
            return FALSE;
    }
    return TRUE;
}
