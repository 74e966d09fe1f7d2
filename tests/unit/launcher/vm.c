/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A VM's name, its lock, and the way to its guest past a device that answers right or wrong. */
#include "launcher/vm/vm.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "launcher/base/error.h"
#include "launcher/base/fd.h"
#include "launcher/base/unix-socket.h"
#include "launcher/vm/lock.h"
#include "launcher/vm/run.h"

static char *directory;

static void test_names(void)
{
    static const char *const good[] = {"default", "a", "0", "vm-2", NULL};
    static const char *const bad[] = {
        "", "-a", "A", "a/b", "..", "a b", "ä", "a123456789012345678901234567890123456789x", NULL};
    for (int i = 0; good[i]; i++) {
        g_autoptr(HxVm) vm = hx_vm_open(good[i], NULL);
        g_assert_cmpstr(hx_vm_name(vm), ==, good[i]);
    }
    for (int i = 0; bad[i]; i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(hx_vm_open(bad[i], &error));
        g_assert_error(error, HX_ERROR, HX_ERROR_USAGE);
    }
}

static void assert_mode(const char *path, mode_t mode)
{
    struct stat status;
    g_assert_cmpint(stat(path, &status), ==, 0);
    g_assert_cmpint(status.st_mode & 07777, ==, mode);
}

static void test_lock(void)
{
    g_autoptr(HxVm) vm = hx_vm_open("locked", NULL);
    g_autoptr(GError) error = NULL;
    int lock = hx_vm_lock(vm, &error);
    g_assert_no_error(error);
    g_assert_cmpint(hx_vm_lock(vm, &error), ==, -1);
    g_assert_error(error, HX_ERROR, HX_ERROR_FAILED);
    g_clear_error(&error);
    assert_mode(hx_vm_runtime_path(vm, NULL), 0711);
    assert_mode(hx_vm_state_path(vm, NULL), 0711);
    assert_mode(hx_vm_state_path(vm, "secrets"), 0700);
    hx_vm_unlock(vm, lock);
    g_assert_false(g_file_test(hx_vm_runtime_path(vm, NULL), G_FILE_TEST_EXISTS));
    lock = hx_vm_lock(vm, &error);
    g_assert_no_error(error);
    hx_vm_unlock(vm, lock);
}

/* As logind does at a logout. */
static void test_lock_outlives_the_sockets(void)
{
    g_autoptr(HxVm) vm = hx_vm_open("logged-out", NULL);
    g_autoptr(GError) error = NULL;
    int lock = hx_vm_lock(vm, &error);
    g_assert_no_error(error);
    g_assert_cmpint(g_rmdir(hx_vm_runtime_path(vm, NULL)), ==, 0);
    g_assert_cmpint(hx_vm_lock(vm, &error), ==, -1);
    g_assert_error(error, HX_ERROR, HX_ERROR_FAILED);
    g_assert_false(g_file_test(hx_vm_runtime_path(vm, NULL), G_FILE_TEST_EXISTS));
    hx_vm_unlock(vm, lock);
    g_assert_false(g_file_test(hx_vm_lock_path(vm), G_FILE_TEST_EXISTS));
}

/* Change a number or a word of the run's note. */
static void change_run(HxVm *vm, const char *member, const char *value)
{
    g_autofree char *text = NULL;
    g_assert_true(g_file_get_contents(hx_vm_state_path(vm, "run.json"), &text, NULL, NULL));
    g_autofree char *pattern = g_strdup_printf("\"%s\" : [^,\n]*", member);
    g_autofree char *now = g_strdup_printf("\"%s\" : %s", member, value);
    g_autoptr(GRegex) regex = g_regex_new(pattern, 0, 0, NULL);
    g_autofree char *changed = g_regex_replace_literal(regex, text, -1, 0, now, 0, NULL);
    g_assert_cmpstr(changed, !=, text);
    g_assert_true(g_file_set_contents(hx_vm_state_path(vm, "run.json"), changed, -1, NULL));
}

static void test_run(void)
{
    g_autoptr(HxVm) vm = hx_vm_open("at-work", NULL);
    g_autoptr(GError) error = NULL;
    int lock = hx_vm_lock(vm, &error);
    g_assert_no_error(error);
    g_assert_cmpint(hx_run_state(vm), ==, HX_RUN_NONE);
    g_assert_false(hx_run_is_cut_off(vm));
    g_assert_true(hx_run_begin(vm, &error));
    assert_mode(hx_vm_state_path(vm, "run.json"), 0600);
    g_assert_cmpint(hx_run_state(vm), ==, HX_RUN_ALIVE);
    g_assert_null(hx_run_failure(HX_RUN_ALIVE));
    g_assert_true(hx_run_is_cut_off(vm)); /* there is no control.sock */
    g_file_set_contents(hx_vm_runtime_path(vm, "control.sock"), "", -1, NULL);
    g_assert_false(hx_run_is_cut_off(vm));
    /* Our number, but another process. */
    change_run(vm, "start_time", "1");
    g_assert_cmpint(hx_run_state(vm), ==, HX_RUN_KILLED);
    g_assert_cmpint(hx_run_open_monitor(vm), ==, -1);
    g_assert_true(hx_run_begin(vm, &error));
    change_run(vm, "boot_id", "\"of another boot\"");
    g_assert_cmpint(hx_run_state(vm), ==, HX_RUN_HOST_DOWN);
    g_assert_nonnull(strstr(hx_run_failure(HX_RUN_HOST_DOWN), "host went down"));
    g_file_set_contents(hx_vm_state_path(vm, "run.json"), "{ cut", -1, NULL);
    g_assert_cmpint(hx_run_state(vm), ==, HX_RUN_KILLED);
    hx_run_end(vm);
    g_assert_cmpint(hx_run_state(vm), ==, HX_RUN_NONE);
    hx_vm_unlock(vm, lock);
}

/* Many processes that lock and unlock, which removes file and directory: never two at once. */
static void test_lock_is_exclusive(void)
{
    g_autofree char *witness = g_build_filename(directory, "witness", NULL);
    pid_t children[4];
    for (size_t c = 0; c < G_N_ELEMENTS(children); c++) {
        children[c] = fork();
        if (children[c] != 0)
            continue;
        g_autoptr(HxVm) vm = hx_vm_open("contended", NULL);
        for (int taken = 0; taken < 200;) {
            int lock = hx_vm_lock(vm, NULL);
            if (lock < 0)
                continue;
            if (g_mkdir(witness, 0700) < 0)
                _exit(1);
            if (g_rmdir(witness) < 0)
                _exit(2);
            hx_vm_unlock(vm, lock);
            taken++;
        }
        _exit(0);
    }
    for (size_t c = 0; c < G_N_ELEMENTS(children); c++) {
        int status = 0;
        waitpid(children[c], &status, 0);
        g_assert_cmpint(status, ==, 0);
    }
}

typedef struct {
    int listener;
    const char *reply;
} Device;

/* Answers one CONNECT with @reply and then closes. */
static void *answer(void *data)
{
    Device *device = data;
    hx_autofd int fd = accept(device->listener, NULL, NULL);
    char request[64] = "";
    g_assert_cmpint(read(fd, request, sizeof request - 1), >, 0);
    g_assert_cmpstr(request, ==, "CONNECT 22\n");
    hx_write_all(fd, device->reply, strlen(device->reply));
    return NULL;
}

/* Connect past a device that says @reply: the error's code, 0 where it worked and "rest" follows.
 */
static int connect_with(const char *reply)
{
    g_autoptr(HxVm) vm = hx_vm_open("device", NULL);
    g_assert_true(hx_vm_create_directories(vm, NULL));
    Device device = {hx_unix_listen(hx_vm_runtime_path(vm, "vsock.sock"), SOCK_STREAM, 0600),
                     reply};
    g_assert_cmpint(device.listener, >=, 0);
    GThread *thread = g_thread_new("device", answer, &device);
    g_autoptr(GError) error = NULL;
    hx_autofd int fd = hx_vm_connect(vm, 22, NULL, &error);
    g_thread_join(thread);
    hx_close(&device.listener);
    if (error)
        return error->code;
    char rest[5] = "";
    g_assert_cmpint(hx_read_all(fd, rest, 4), ==, 0);
    g_assert_cmpstr(rest, ==, "rest");
    return 0;
}

static void test_connect(void)
{
    g_assert_cmpint(connect_with("OK 22\nrest"), ==, 0);
    g_assert_cmpint(connect_with(""), ==, HX_ERROR_PROTOCOL);
    g_assert_cmpint(connect_with("OK"), ==, HX_ERROR_PROTOCOL);
    g_assert_cmpint(connect_with("NO\n"), ==, HX_ERROR_FAILED);
    g_assert_cmpint(connect_with("OK 0123456789012345678901234567890123456789\n"), ==,
                    HX_ERROR_FAILED);
}

static void test_connect_to_nothing(void)
{
    g_autoptr(HxVm) vm = hx_vm_open("nothing", NULL);
    g_autoptr(GError) error = NULL;
    g_assert_cmpint(hx_vm_connect(vm, 22, NULL, &error), ==, -1);
    g_assert_error(error, HX_ERROR, HX_ERROR_NOT_RUNNING);
    g_clear_error(&error);
    g_assert_cmpint(hx_vm_connect_monitor(vm, &error), ==, -1);
    g_assert_error(error, HX_ERROR, HX_ERROR_NOT_RUNNING);
}

/* A guest that never answers is waited for as long as the user likes. */
static void test_connect_is_cancelled(void)
{
    g_autoptr(HxVm) vm = hx_vm_open("silent", NULL);
    g_assert_true(hx_vm_create_directories(vm, NULL));
    hx_autofd int listener =
        hx_unix_listen(hx_vm_runtime_path(vm, "vsock.sock"), SOCK_STREAM, 0600);
    g_autoptr(GCancellable) cancel = g_cancellable_new();
    g_cancellable_cancel(cancel);
    g_autoptr(GError) error = NULL;
    g_assert_cmpint(hx_vm_connect(vm, 22, cancel, &error), ==, -1);
    g_assert_error(error, HX_ERROR, HX_ERROR_CANCELLED);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    directory = g_dir_make_tmp("helixvm-vm-XXXXXX", NULL);
    g_setenv("HELIXVM_STATE_DIR", directory, TRUE);
    g_setenv("HELIXVM_RUNTIME_DIR", directory, TRUE);
    g_test_add_func("/vm/names", test_names);
    g_test_add_func("/vm/lock", test_lock);
    g_test_add_func("/vm/lock-outlives-the-sockets", test_lock_outlives_the_sockets);
    g_test_add_func("/vm/run", test_run);
    g_test_add_func("/vm/lock-is-exclusive", test_lock_is_exclusive);
    g_test_add_func("/vm/connect", test_connect);
    g_test_add_func("/vm/connect-to-nothing", test_connect_to_nothing);
    g_test_add_func("/vm/connect-is-cancelled", test_connect_is_cancelled);
    int status = g_test_run();
    const char *const remove[] = {"rm", "-rf", directory, NULL};
    g_spawn_sync(NULL, (char **)remove, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL,
                 NULL);
    return status;
}
