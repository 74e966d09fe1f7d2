/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/domain/qemu-process.h"

#include <fcntl.h>
#include <glib-unix.h>
#include <signal.h>
#include <sys/wait.h>

#include "launcher/base/process.h"

/* Runs @script with arguments as QEMU has them, and with a standard input on which nothing comes.
 */
static pid_t start(const char *script, const char *uuid)
{
    static int pair[2];
    if (!pair[1])
        g_assert_true(g_unix_open_pipe(pair, O_CLOEXEC, NULL));
    const char *const argv[] = {"sh", "-c", script, "qemu", "-uuid", uuid, "-smp", "1", NULL};
    HxProcess process = {.argv = argv, .stdin_fd = pair[0], .stdout_fd = -1, .stderr_fd = -1};
    g_autoptr(GError) error = NULL;
    pid_t pid = hx_process_spawn(&process, &error);
    g_assert_no_error(error);
    return pid;
}

static int end_and_reap(pid_t pid, const char *uuid)
{
    g_autoptr(GError) error = NULL;
    int status = 0;
    g_assert_true(hx_qemu_end(uuid, &error));
    g_assert_no_error(error);
    g_assert_cmpint(waitpid(pid, &status, WNOHANG), ==, pid);
    g_assert_true(WIFSIGNALED(status));
    return WTERMSIG(status);
}

static void test_end(void)
{
    g_autofree char *uuid = g_uuid_string_random();
    g_autofree char *other = g_uuid_string_random();
    pid_t pid = start("read line", uuid);
    pid_t bystander = start("read line", other);
    g_assert_cmpint(end_and_reap(pid, uuid), ==, SIGTERM);
    g_assert_cmpint(waitpid(bystander, NULL, WNOHANG), ==, 0);
    g_assert_cmpint(end_and_reap(bystander, other), ==, SIGTERM);
}

static void test_deaf(void)
{
    g_autofree char *uuid = g_uuid_string_random();
    pid_t pid = start("kill -STOP $$; true", uuid);
    int status = 0;
    g_assert_cmpint(waitpid(pid, &status, WUNTRACED), ==, pid);
    g_assert_true(WIFSTOPPED(status));
    g_assert_cmpint(end_and_reap(pid, uuid), ==, SIGKILL);
}

static void test_none(void)
{
    g_autofree char *uuid = g_uuid_string_random();
    g_assert_true(hx_qemu_end(uuid, NULL));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/qemu-process/end", test_end);
    g_test_add_func("/qemu-process/deaf", test_deaf);
    g_test_add_func("/qemu-process/none", test_none);
    return g_test_run();
}
