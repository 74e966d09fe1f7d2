/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A monitor that does not get as far as to live. */
#include "launcher/monitor/monitor.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "launcher/base/error.h"
#include "launcher/base/fd.h"
#include "launcher/base/process.h"
#include "launcher/vm/lock.h"

static void test_broken_profile(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *directory = g_dir_make_tmp("helixvm-monitor-XXXXXX", &error);
    g_autofree char *runtime = g_build_filename(directory, "run", NULL);
    g_setenv("HELIXVM_STATE_DIR", directory, TRUE);
    g_setenv("HELIXVM_RUNTIME_DIR", runtime, TRUE);
    g_autoptr(HxVm) vm = hx_vm_open("broken", &error);
    g_assert_no_error(error);
    int lock = hx_vm_lock(vm, &error);
    g_assert_no_error(error);
    g_assert_true(
        g_file_set_contents(hx_vm_state_path(vm, "profile.conf"), "[gpu]\nno=1\n", -1, &error));
    int pair[2];
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
    hx_autofd int ours = pair[0];
    g_autoptr(GCancellable) cancel = g_cancellable_new();
    g_assert_false(hx_monitor_run(vm, pair[1], FALSE, FALSE, lock, 60, "key", cancel, &error));
    close(pair[1]);
    g_assert_error(error, HX_ERROR, HX_ERROR_CONFIG);

    char event[4096] = "";
    g_assert_cmpint(read(ours, event, sizeof event - 1), >, 0);
    g_assert_nonnull(strstr(event, "\"failed\""));
    g_assert_nonnull(strstr(event, "profile.conf"));
    g_autofree char *last = NULL;
    g_assert_true(g_file_get_contents(hx_vm_state_path(vm, "last-run.json"), &last, NULL, NULL));
    g_assert_nonnull(strstr(last, "profile.conf"));
    const char *const argv[] = {"rm", "-r", directory, NULL};
    g_assert_true(hx_process_run(argv, NULL, NULL, NULL));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/monitor/broken-profile", test_broken_profile);
    return g_test_run();
}
