/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is refused in the encoder's sandbox, tried from within; what the service itself runs with.
 */
#include "encoder/service/sandbox.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <linux/landlock.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "launcher/base/fd.h"
#include "launcher/base/sanitised.h"
#include "launcher/base/unix-socket.h"
#include "tests/fakes/encoder-client.h"
#include "tests/fakes/refused.h"

/* What seccomp lets through and Landlock does not: a socket without a file. */
static void try_abstract(const struct sockaddr_un *name)
{
    hx_autofd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    g_assert_cmpint(fd, >=, 0);
    assert_refused(connect(fd, (const struct sockaddr *)name, sizeof *name), EPERM);
}

static void try_system_calls(void)
{
    assert_common_calls_refused();
    assert_refused(unlink("/nonexistent"), EPERM);
    if (HX_SANITISED)
        return;
    assert_refused(fork(), EPERM);
    assert_refused(syscall(SYS_clone3, NULL, 0), ENOSYS);
}

/* The same in a thread that was started within. */
static void *in_thread(void *data)
{
    try_system_calls();
    return data;
}

static void test_refused(void)
{
    g_autofree char *directory = g_dir_make_tmp("sandbox-XXXXXX", NULL);
    g_autofree char *module = g_build_filename(directory, "module", NULL);
    hx_autofd int listener = hx_unix_listen(module, SOCK_SEQPACKET, 0600);
    g_assert_cmpint(listener, >=, 0);
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    g_snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "helixvm-sandbox-%d", getpid());
    hx_autofd int abstract = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(bind(abstract, (const struct sockaddr *)&name, sizeof name), ==, 0);
    g_assert_cmpint(listen(abstract, 1), ==, 0);
    int landlock = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    pid_t child = fork();
    if (child == 0) {
        g_autoptr(GError) error = NULL;
        hx_encoder_enter_sandbox(&error);
        g_assert_no_error(error);
        hx_autofd int fd = hx_unix_connect(module, SOCK_SEQPACKET | SOCK_NONBLOCK);
        g_assert_cmpint(fd, >=, 0);
        try_system_calls();
        if (landlock >= 6) /* the first that can */
            try_abstract(&name);
        g_assert_true(g_thread_join(g_thread_new("within", in_thread, directory)) == directory);
        _exit(0);
    }
    int status = -1;
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    g_assert_cmpint(status, ==, 0);
    g_unlink(module);
    g_assert_cmpint(rmdir(directory), ==, 0);
}

/* What /proc says of every thread of the service, which has a client at work. */
static void test_service(void)
{
    static const char *const lines[] = {"\nNoNewPrivs:\t1\n", "\nSeccomp:\t2\n",
                                        "\nCapPrm:\t0000000000000000\n",
                                        "\nCapEff:\t0000000000000000\n"};
    const HxfrFrameRequest request = {
        .width = 640, .height = 480, .format = HXFR_FORMAT_XR24, .stride = 640 * 4};
    TestService service;
    test_service_start(&service, (const char *const[]){"--threads=4", NULL});
    hx_autofd int fd = test_connect(&service);
    test_send_pattern(fd, 1, 0, &request, 0);
    test_expect_frame(fd, 1, NULL);
    g_autofree char *tasks = g_strdup_printf("/proc/%d/task", service.pid);
    g_autoptr(GDir) directory = g_dir_open(tasks, 0, NULL);
    guint count = 0;
    for (const char *task; (task = g_dir_read_name(directory)); count++) {
        g_autofree char *path = g_build_filename(tasks, task, "status", NULL);
        g_autofree char *text = NULL;
        g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
        for (size_t i = 0; i < G_N_ELEMENTS(lines); i++)
            if (!strstr(text, lines[i]))
                g_error("%s is not in %s", lines[i] + 1, text);
    }
    /* Its own, two of the connection, and x264's. */
    g_assert_cmpuint(count, >=, 6);
    test_service_stop(&service);
}

/* Nothing of what the service does in these other tests is refused. */
static void test_work(void)
{
    static const struct {
        const char *program, *test;
    } tests[] = {
        {"settings", "/settings"},         {"service", "/service/config"},
        {"service", "/service/sessions"},  {"telling", "/telling/statistics"},
        {"service", "/service/unchanged"}, {"service", "/service/termination"},
        {"serial", "/serial/garbage"},     {"resource", "/resource/pictures"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(tests); i++) {
        g_autofree char *program = g_build_filename(g_getenv("BUILD") ?: "build",
                                                    "tests/unit/encoder", tests[i].program, NULL);
        g_autofree char *text = NULL;
        g_autoptr(GError) error = NULL;
        int status = -1;
        g_spawn_sync(NULL, (char *[]){program, "-p", (char *)tests[i].test, NULL}, NULL,
                     G_SPAWN_STDOUT_TO_DEV_NULL, NULL, NULL, NULL, &text, &status, &error);
        g_assert_no_error(error);
        g_assert_cmpint(status, ==, 0);
        if (strstr(text, "the sandbox refused"))
            g_error("%s: %s", tests[i].test, text);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/encoder/sandbox/refused", test_refused);
    g_test_add_func("/encoder/sandbox/service", test_service);
    g_test_add_func("/encoder/sandbox/work", test_work);
    return g_test_run();
}
