/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is refused in the sandbox, tried from within; what the device itself runs with. */
#include "launcher/vsock/sandbox.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <linux/landlock.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "launcher/base/fd.h"
#include "launcher/base/sandbox.h"
#include "launcher/base/unix-socket.h"
#include "tests/fakes/refused.h"
#include "tests/fakes/vsock-frontend.h"

static void try_system_calls(void)
{
    assert_common_calls_refused();
    assert_refused(socket(AF_NETLINK, SOCK_RAW, 0), EPERM);
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    g_assert_true(page != MAP_FAILED);
    assert_refused(mprotect(page, 4096, PROT_READ | PROT_EXEC), EPERM);
    assert_refused(syscall(SYS_io_uring_setup, 1, NULL), EPERM);
}

/* A socket, the sandbox around its directory, and a file elsewhere. */
static void try_files(bool landlock, const char *inside, const char *outside)
{
    if (landlock)
        assert_refused(unlink(outside), EACCES);
    g_assert_cmpint(unlink(inside), ==, 0);
}

static void test_refused(void)
{
    g_autofree char *outside = NULL, *directory = g_dir_make_tmp("sandbox-XXXXXX", NULL);
    g_autofree char *inside = g_build_filename(directory, "socket", NULL);
    hx_autofd int file = g_file_open_tmp(NULL, &outside, NULL);
    int listener = hx_unix_listen(inside, SOCK_STREAM, 0600);
    g_assert_cmpint(listener, >=, 0);
    bool landlock =
        syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) >= 1;
    g_test_message("Landlock: %s", landlock ? "yes" : "no");
    pid_t child = fork();
    if (child == 0) {
        g_autoptr(GError) error = NULL;
        g_assert_cmpint(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), ==, 0);
        hx_vsock_enter_sandbox((const char *const[]){inside, NULL}, &error);
        g_assert_no_error(error);
        /* What the device does all the time. */
        hx_autofd int fd = hx_unix_connect(inside, SOCK_STREAM | SOCK_NONBLOCK);
        g_assert_cmpint(fd, >=, 0);
        g_assert_cmpint(hx_write_all(fd, "x", 1), ==, 0);
        try_system_calls();
        try_files(landlock, inside, outside);
        _exit(0);
    }
    int status = -1;
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    g_assert_cmpint(status, ==, 0);
    close(listener);
    g_assert_cmpint(unlink(outside), ==, 0);
    g_assert_cmpint(rmdir(directory), ==, 0);
}

static void assert_status(Frontend *f, const char *line)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/status", f->pid), *text = NULL;
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    if (!strstr(text, line))
        g_error("%s: not in %s", line, text);
}

/* The device itself, with a driver at work. */
static void test_device(void)
{
    Frontend *f = frontend_new((FrontendOptions){.event_idx = true});
    assert_status(f, "\nNoNewPrivs:\t1\n");
    assert_status(f, "\nSeccomp:\t2\n");
    assert_status(f, "\nCapPrm:\t0000000000000000\n");
    assert_status(f, "\nCapEff:\t0000000000000000\n");
    frontend_free(f);
}

/* Nothing that the device does in all of its other test is refused. */
static void test_work(void)
{
    const char *build = g_getenv("BUILD") ? g_getenv("BUILD") : "build";
    g_autofree char *program = g_build_filename(build, "tests/unit/vsock/device", NULL);
    g_autofree char *text = NULL;
    char *argv[] = {program, NULL};
    g_autoptr(GError) error = NULL;
    int status = -1;
    g_spawn_sync(NULL, argv, NULL, G_SPAWN_STDOUT_TO_DEV_NULL, NULL, NULL, NULL, &text, &status,
                 &error);
    g_assert_no_error(error);
    g_assert_cmpint(status, ==, 0);
    g_assert_nonnull(strstr(text, "guest CID 42"));
    g_assert_null(strstr(text, "the sandbox refused"));
}

/* The number of descriptors of this process from @from on. */
static unsigned count_from(int from)
{
    unsigned count = 0;
    for (int fd = from; fd < 1024; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void test_close_others(void)
{
    pid_t child = fork();
    if (child == 0) {
        for (int fd = 10; fd < 30; fd++)
            dup2(STDERR_FILENO, fd);
        hx_sandbox_close_others((const int[]){20, -1, 11}, 3);
        bool kept = fcntl(11, F_GETFD) >= 0 && fcntl(20, F_GETFD) >= 0;
        _exit(kept ? (int)count_from(3) : 100);
    }
    int status = -1;
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    g_assert_true(WIFEXITED(status));
    g_assert_cmpint(WEXITSTATUS(status), ==, 2);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vsock/sandbox/refused", test_refused);
    g_test_add_func("/vsock/sandbox/device", test_device);
    g_test_add_func("/vsock/sandbox/work", test_work);
    g_test_add_func("/vsock/sandbox/close-others", test_close_others);
    return g_test_run();
}
