/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The SSH client against a real sshd(8) in inetd mode, one on each connection. */
#include "guest-provision/ssh.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "guest-provision/identity.h"
#include "launcher/base/error.h"
#include "launcher/base/fd.h"
#include "launcher/base/process.h"

#define SSHD "/usr/sbin/sshd"

typedef struct {
    char *directory;
    char *identity;
    char *known_hosts;
    char *config;
    pid_t sshd;
    int server_end; /* a second descriptor of sshd's end of the connection */
} Fixture;

static char *in(Fixture *f, const char *name)
{
    return g_build_filename(f->directory, name, NULL);
}

static void run_program(const char *const *argv)
{
    g_autoptr(GError) error = NULL;
    hx_process_run(argv, NULL, NULL, &error);
    g_assert_no_error(error);
}

static void write_config(Fixture *f, const char *more)
{
    g_autofree char *host_key = in(f, "host_key");
    g_autofree char *authorized = in(f, "authorized_keys");
    g_autofree char *text = g_strdup_printf("HostKey %s\nAuthorizedKeysFile %s\nStrictModes no\n"
                                            "UsePAM no\nPasswordAuthentication no\n"
                                            "PermitRootLogin yes\n%s",
                                            host_key, authorized, more);
    g_assert_true(g_file_set_contents(f->config, text, -1, NULL));
}

static void make_host_key(Fixture *f)
{
    g_autofree char *host_key = in(f, "host_key");
    g_unlink(host_key);
    const char *argv[] = {"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", host_key, NULL};
    run_program(argv);
}

static void set_up(Fixture *f, const void *data)
{
    g_autoptr(GError) error = NULL;
    f->directory = g_dir_make_tmp("helixvm-ssh-XXXXXX", NULL);
    g_assert_nonnull(f->directory);
    g_autofree char *keys = in(f, "keys");
    f->identity = g_build_filename(keys, "id", NULL);
    f->known_hosts = g_build_filename(keys, "known_hosts", NULL);
    f->config = in(f, "sshd_config");
    f->server_end = -1;

    g_autofree char *public_key = NULL;
    hx_identity_ensure(f->identity, &public_key, &error);
    g_assert_no_error(error);
    g_autofree char *authorized = in(f, "authorized_keys");
    g_assert_true(g_file_set_contents(authorized, public_key, -1, NULL));
    make_host_key(f);
    write_config(f, "Subsystem sftp internal-sftp\n");
    g_mkdir_with_parents("/run/sshd", 0755);
}

static void end_sshd(Fixture *f)
{
    hx_close(&f->server_end);
    if (f->sshd > 0) {
        kill(f->sshd, SIGTERM);
        waitpid(f->sshd, NULL, 0);
    }
    f->sshd = 0;
}

static void tear_down(Fixture *f, const void *data)
{
    end_sshd(f);
    const char *argv[] = {"rm", "-rf", f->directory, NULL};
    run_program(argv);
    g_free(f->directory);
    g_free(f->identity);
    g_free(f->known_hosts);
    g_free(f->config);
}

/* Start sshd on one end of a connection; returns the other. */
static int start_sshd(Fixture *f)
{
    int ends[2];
    g_autoptr(GError) error = NULL;
    g_autofree char *log = in(f, "log");
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), ==, 0);
    hx_autofd int log_fd = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    const char *argv[] = {SSHD, "-i", "-e", "-f", f->config, NULL};
    HxProcess process = {
        .argv = argv, .stdin_fd = ends[1], .stdout_fd = ends[1], .stderr_fd = log_fd};
    end_sshd(f);
    f->sshd = hx_process_spawn(&process, &error);
    g_assert_no_error(error);
    f->server_end = ends[1];
    return ends[0];
}

static HxSsh *open_on(Fixture *f, int fd, GCancellable *cancel, GError **error)
{
    HxSshLogin login = {.vm = "box",
                        .user = g_get_user_name(),
                        .identity = f->identity,
                        .known_hosts = f->known_hosts,
                        .timeout = 10};
    return hx_ssh_open(fd, &login, cancel, error);
}

static HxSsh *log_in(Fixture *f)
{
    g_autoptr(GError) error = NULL;
    HxSsh *ssh = open_on(f, start_sshd(f), NULL, &error);
    if (error) {
        g_autofree char *path = in(f, "log");
        g_autofree char *log = NULL;
        g_file_get_contents(path, &log, NULL, NULL);
        g_test_message("%s", log);
    }
    g_assert_no_error(error);
    return ssh;
}

static void run(HxSsh *ssh, const char *command, GBytes *input, HxSshOutput *output)
{
    g_autoptr(GError) error = NULL;
    hx_ssh_run(ssh, command, input, 20, output, &error);
    g_assert_no_error(error);
}

static GBytes *some_bytes(gsize size)
{
    guint8 *bytes = g_malloc(size);
    guint32 state = 1;
    for (gsize i = 0; i < size; i++) {
        state = state * 1664525 + 1013904223;
        bytes[i] = state >> 24;
    }
    return g_bytes_new_take(bytes, size);
}

static void test_streams(Fixture *f, const void *data)
{
    g_autoptr(HxSsh) ssh = log_in(f);
    g_auto(HxSshOutput) output = {};
    run(ssh, "echo out; echo err >&2; exit 7", NULL, &output);
    g_assert_cmpint(output.exit_status, ==, 7);
    g_assert_cmpstr(output.out->str, ==, "out\n");
    g_assert_cmpstr(output.err->str, ==, "err\n");

    /* A second command on the same connection. */
    g_auto(HxSshOutput) second = {};
    g_autoptr(GBytes) input = g_bytes_new_static("one\ntwo\n", 8);
    run(ssh, "wc -l", input, &second);
    g_assert_cmpint(second.exit_status, ==, 0);
    g_assert_cmpint(atoi(second.out->str), ==, 2);
}

static void note_line(const char *line, void *data)
{
    g_string_append_printf(data, "<%s>", line);
}

/* Whole lines are told, however they come: what has no end is none. */
static void test_told(Fixture *f, const void *data)
{
    g_autoptr(HxSsh) ssh = log_in(f);
    g_autoptr(GError) error = NULL;
    g_autoptr(GString) told = g_string_new(NULL);
    g_auto(HxSshOutput) output = {};
    hx_ssh_run_told(ssh, "printf 'one\\n\\ntw'; sleep 0.2; printf 'o\\nthree'; echo no >&2", NULL,
                    20, note_line, told, &output, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(told->str, ==, "<one><><two>");
    g_assert_cmpstr(output.out->str, ==, "one\n\ntwo\nthree");
}

/* More than the windows of both sides hold, in both directions at once. */
static void test_much(Fixture *f, const void *data)
{
    g_autoptr(HxSsh) ssh = log_in(f);
    g_auto(HxSshOutput) output = {};
    g_autoptr(GBytes) input = some_bytes(HX_SSH_OUTPUT_MAX);
    run(ssh, "tee /dev/stderr", input, &output);
    g_assert_cmpint(output.exit_status, ==, 0);
    gsize size;
    const void *bytes = g_bytes_get_data(input, &size);
    g_assert_cmpmem(output.out->str, output.out->len, bytes, size);
    g_assert_cmpmem(output.err->str, output.err->len, bytes, size);
}

static void test_too_much(Fixture *f, const void *data)
{
    g_autoptr(HxSsh) ssh = log_in(f);
    g_autoptr(GError) error = NULL;
    g_auto(HxSshOutput) output = {};
    g_assert_false(hx_ssh_run(ssh, "yes", NULL, 20, &output, &error));
    g_assert_error(error, HX_ERROR, HX_ERROR_GUEST);
    g_assert_null(output.out);

    /* The connection serves on. */
    run(ssh, "echo on", NULL, &output);
    g_assert_cmpstr(output.out->str, ==, "on\n");
}

static void test_input_not_read(Fixture *f, const void *data)
{
    g_autoptr(HxSsh) ssh = log_in(f);
    g_auto(HxSshOutput) output = {};
    g_autoptr(GBytes) input = some_bytes(8 * 1024 * 1024);
    run(ssh, "exit 5", input, &output);
    g_assert_cmpint(output.exit_status, ==, 5);
}

static void test_ended_by_signal(Fixture *f, const void *data)
{
    g_autoptr(HxSsh) ssh = log_in(f);
    g_auto(HxSshOutput) output = {};
    run(ssh, "kill -TERM $$", NULL, &output);
    g_assert_cmpint(output.exit_status, ==, 128 + SIGTERM);
}

static void test_status_after_output(Fixture *f, const void *data)
{
    g_autoptr(HxSsh) ssh = log_in(f);
    g_auto(HxSshOutput) output = {};
    run(ssh, "echo x; exec >&- 2>&-; sleep 0.3; exit 9", NULL, &output);
    g_assert_cmpint(output.exit_status, ==, 9);
    g_assert_cmpstr(output.out->str, ==, "x\n");
}

static void test_timeout(Fixture *f, const void *data)
{
    g_autoptr(HxSsh) ssh = log_in(f);
    g_autoptr(GError) error = NULL;
    HxSshOutput output;
    g_test_timer_start();
    g_assert_false(hx_ssh_run(ssh, "sleep 20", NULL, 1, &output, &error));
    g_assert_error(error, HX_ERROR, HX_ERROR_TIMEOUT);
    g_assert_cmpfloat(g_test_timer_elapsed(), <, 5);
}

static void *cancel_soon(void *cancel)
{
    g_usleep(300 * 1000);
    g_cancellable_cancel(cancel);
    return NULL;
}

static void test_cancel(Fixture *f, const void *data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GCancellable) cancel = g_cancellable_new();
    g_autoptr(HxSsh) ssh = open_on(f, start_sshd(f), cancel, &error);
    g_assert_no_error(error);
    GThread *thread = g_thread_new("cancel", cancel_soon, cancel);
    HxSshOutput output;
    g_test_timer_start();
    g_assert_false(hx_ssh_run(ssh, "sleep 20", NULL, 0, &output, &error));
    g_thread_join(thread);
    g_assert_error(error, HX_ERROR, HX_ERROR_CANCELLED);
    g_assert_cmpfloat(g_test_timer_elapsed(), <, 5);
}

static void *lose_soon(void *fd)
{
    g_usleep(300 * 1000);
    shutdown(GPOINTER_TO_INT(fd), SHUT_RDWR);
    return NULL;
}

static void test_lost(Fixture *f, const void *data)
{
    g_autoptr(HxSsh) ssh = log_in(f);
    g_autoptr(GError) error = NULL;
    HxSshOutput output;
    GThread *thread = g_thread_new("lose", lose_soon, GINT_TO_POINTER(f->server_end));
    g_assert_false(hx_ssh_run(ssh, "sleep 20", NULL, 10, &output, &error));
    g_thread_join(thread);
    g_assert_error(error, HX_ERROR, HX_ERROR_PROTOCOL);
}

/* A peer that accepts and says nothing, and one that says something else. */
static void test_no_ssh(Fixture *f, const void *data)
{
    int ends[2];
    g_autoptr(GError) error = NULL;
    HxSshLogin login = {
        .vm = "box", .identity = f->identity, .known_hosts = f->known_hosts, .timeout = 1};
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), ==, 0);
    g_assert_null(hx_ssh_open(ends[0], &login, NULL, &error));
    g_assert_error(error, HX_ERROR, HX_ERROR_TIMEOUT);
    g_clear_error(&error);
    close(ends[1]);

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), ==, 0);
    g_autofree char *noise = g_strnfill(8192, 'x');
    g_assert_cmpint(hx_write_all(ends[1], noise, strlen(noise)), ==, 0);
    shutdown(ends[1], SHUT_WR);
    g_assert_null(hx_ssh_open(ends[0], &login, NULL, &error));
    g_assert_error(error, HX_ERROR, HX_ERROR_PROTOCOL);
    close(ends[1]);
}

static void test_host_key(Fixture *f, const void *data)
{
    g_autoptr(GError) error = NULL;
    hx_ssh_close(log_in(f));
    g_autofree char *pinned = NULL;
    g_assert_true(g_file_get_contents(f->known_hosts, &pinned, NULL, NULL));
    /* OpenSSH finds it there. */
    const char *argv[] = {"ssh-keygen", "-F", HX_SSH_HOST_ALIAS, "-f", f->known_hosts, NULL};
    run_program(argv);

    /* The same key again changes nothing. */
    hx_ssh_close(log_in(f));
    g_autofree char *again = NULL;
    g_assert_true(g_file_get_contents(f->known_hosts, &again, NULL, NULL));
    g_assert_cmpstr(pinned, ==, again);

    make_host_key(f);
    g_assert_null(open_on(f, start_sshd(f), NULL, &error));
    g_assert_error(error, HX_ERROR, HX_ERROR_ACCESS);
    g_assert_nonnull(strstr(error->message, f->known_hosts));
    g_autofree char *after = NULL;
    g_assert_true(g_file_get_contents(f->known_hosts, &after, NULL, NULL));
    g_assert_cmpstr(pinned, ==, after);
}

static void test_login_refused(Fixture *f, const void *data)
{
    g_autoptr(GError) error = NULL;
    g_unlink(f->identity);
    g_assert_true(hx_identity_ensure(f->identity, NULL, NULL));
    g_assert_null(open_on(f, start_sshd(f), NULL, &error));
    g_assert_error(error, HX_ERROR, HX_ERROR_ACCESS);
}

static void check_upload(Fixture *f, HxSsh *ssh, gsize size, guint mode)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) content = some_bytes(size);
    g_autofree char *directory = in(f, "it's here");
    g_autofree char *path = g_build_filename(directory, "file", NULL);
    g_mkdir_with_parents(directory, 0755);
    hx_ssh_upload(ssh, content, path, mode, 20, &error);
    g_assert_no_error(error);

    g_autofree char *got = NULL;
    gsize got_size;
    GStatBuf status;
    g_assert_true(g_file_get_contents(path, &got, &got_size, NULL));
    g_assert_cmpmem(got, got_size, g_bytes_get_data(content, NULL), size);
    g_assert_cmpint(g_stat(path, &status), ==, 0);
    g_assert_cmpint(status.st_mode & 07777, ==, mode);

    /* Nothing else is left there. */
    g_autoptr(GDir) listing = g_dir_open(directory, 0, NULL);
    g_assert_cmpstr(g_dir_read_name(listing), ==, "file");
    g_assert_null(g_dir_read_name(listing));
}

static void test_upload(Fixture *f, const void *data)
{
    write_config(f, data);
    g_autoptr(HxSsh) ssh = log_in(f);
    check_upload(f, ssh, 3 * 1024 * 1024 + 5, 0755);
    check_upload(f, ssh, 0, 0600); /* over the first */
    check_upload(f, ssh, 1, 0644);

    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) content = some_bytes(10);
    g_autofree char *nowhere = in(f, "missing/file");
    g_assert_false(hx_ssh_upload(ssh, content, nowhere, 0644, 20, &error));
    g_assert_error(error, HX_ERROR, HX_ERROR_GUEST);
    g_assert_nonnull(strstr(error->message, nowhere));

    g_auto(HxSshOutput) output = {};
    run(ssh, "echo on", NULL, &output);
    g_assert_cmpstr(output.out->str, ==, "on\n");
}

static void test_join(Fixture *f, const void *data)
{
    g_autoptr(HxSsh) ssh = log_in(f);
    g_autoptr(GError) error = NULL;
    g_autofree char *in_path = in(f, "in");
    g_autofree char *out_path = in(f, "out");
    g_autofree char *err_path = in(f, "err");
    g_autoptr(GBytes) content = some_bytes(6 * 1024 * 1024);
    gsize size;
    const char *bytes = g_bytes_get_data(content, &size);
    g_assert_true(g_file_set_contents(in_path, bytes, size, NULL));
    hx_autofd int input = open(in_path, O_RDONLY | O_CLOEXEC);
    hx_autofd int out = open(out_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    hx_autofd int err = open(err_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    int status = -1;
    HxSshJoin join = {
        .command = "tee /dev/stderr; exit 3", .input_fd = input, .output_fd = out, .error_fd = err};
    hx_ssh_join(ssh, &join, &status, &error);
    g_assert_no_error(error);
    g_assert_cmpint(status, ==, 3);
    g_autofree char *got_out = NULL;
    g_autofree char *got_err = NULL;
    gsize out_size, err_size;
    g_assert_true(g_file_get_contents(out_path, &got_out, &out_size, NULL));
    g_assert_true(g_file_get_contents(err_path, &got_err, &err_size, NULL));
    g_assert_cmpmem(got_out, out_size, bytes, size);
    g_assert_cmpmem(got_err, err_size, bytes, size);
}

/* What is written to nobody who reads it: a pipe, one that is stderr too, and a terminal. */
typedef enum { PIPE, SHARED_PIPE, TERMINAL } Blocked;

static void open_blocked(Blocked kind, int ends[2])
{
    if (kind != TERMINAL) {
        g_assert_cmpint(pipe2(ends, O_CLOEXEC), ==, 0);
        return;
    }
    char name[64];
    ends[0] = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    g_assert_cmpint(grantpt(ends[0]), ==, 0);
    g_assert_cmpint(unlockpt(ends[0]), ==, 0);
    g_assert_cmpint(ptsname_r(ends[0], name, sizeof name), ==, 0);
    ends[1] = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    g_assert_cmpint(ends[1], >=, 0);
}

static void test_blocked(Fixture *f, const void *data)
{
    Blocked kind = GPOINTER_TO_INT(data);
    g_autoptr(GError) error = NULL;
    g_autoptr(GCancellable) cancel = g_cancellable_new();
    g_autoptr(HxSsh) ssh = open_on(f, start_sshd(f), cancel, &error);
    g_assert_no_error(error);
    int ends[2], status;
    open_blocked(kind, ends);
    HxSshJoin join = {.command = kind == SHARED_PIPE ? "head -c 200000 /dev/zero | tee /dev/stderr"
                                                     : "head -c 200000 /dev/zero",
                      .input_fd = -1,
                      .output_fd = ends[1],
                      .error_fd = kind == SHARED_PIPE ? ends[1] : -1};
    GThread *thread = g_thread_new("cancel", cancel_soon, cancel);
    g_test_timer_start();
    alarm(20);
    g_assert_false(hx_ssh_join(ssh, &join, &status, &error));
    alarm(0);
    g_thread_join(thread);
    g_assert_error(error, HX_ERROR, HX_ERROR_CANCELLED);
    g_assert_cmpfloat(g_test_timer_elapsed(), <, 5);
    /* Who else has it finds it as it was. */
    g_assert_false(fcntl(ends[1], F_GETFL) & O_NONBLOCK);
    close(ends[0]);
    close(ends[1]);
}

#define TEST(name, function, data) g_test_add(name, Fixture, data, set_up, function, tear_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    signal(SIGPIPE, SIG_IGN);
    if (!g_file_test(SSHD, G_FILE_TEST_IS_EXECUTABLE)) {
        g_print("1..0 # SKIP %s is not installed\n", SSHD);
        return 0;
    }
    TEST("/ssh/streams", test_streams, NULL);
    TEST("/ssh/told", test_told, NULL);
    TEST("/ssh/much", test_much, NULL);
    TEST("/ssh/too-much", test_too_much, NULL);
    TEST("/ssh/input-not-read", test_input_not_read, NULL);
    TEST("/ssh/ended-by-signal", test_ended_by_signal, NULL);
    TEST("/ssh/status-after-output", test_status_after_output, NULL);
    TEST("/ssh/timeout", test_timeout, NULL);
    TEST("/ssh/cancel", test_cancel, NULL);
    TEST("/ssh/lost", test_lost, NULL);
    TEST("/ssh/no-ssh", test_no_ssh, NULL);
    TEST("/ssh/host-key", test_host_key, NULL);
    TEST("/ssh/login-refused", test_login_refused, NULL);
    TEST("/ssh/upload/sftp", test_upload, "Subsystem sftp internal-sftp\n");
    TEST("/ssh/upload/shell", test_upload, "");
    TEST("/ssh/join", test_join, NULL);
    TEST("/ssh/blocked/pipe", test_blocked, GINT_TO_POINTER(PIPE));
    TEST("/ssh/blocked/shared-pipe", test_blocked, GINT_TO_POINTER(SHARED_PIPE));
    TEST("/ssh/blocked/terminal", test_blocked, GINT_TO_POINTER(TERMINAL));
    return g_test_run();
}
