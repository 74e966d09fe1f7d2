/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Theory of operation.  A command's stdin, stdout and stderr share one connection, and each may
 * wait for another: a command that prints while it reads would stop for ever under a caller that
 * first writes all and then reads.  So the channel never blocks: what has come is taken, what the
 * guest's window has room for is written, then poll(2) waits for the socket or for input.  The
 * deadline ends that wait by shutting the socket down. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "guest-provision/ssh-private.h"
#include "launcher/base/error.h"
#include "launcher/base/fd.h"

#define CHUNK (32 * 1024)

static void free_channel(ssh_channel channel)
{
    if (channel)
        ssh_channel_free(channel);
}
G_DEFINE_AUTO_CLEANUP_FREE_FUNC(ssh_channel, free_channel, NULL)

typedef gboolean Sink(void *data, gboolean is_stderr, const char *bytes, size_t size,
                      GError **error);

typedef struct {
    HxSsh *ssh;
    ssh_channel channel;
    int input_fd;      /* -1: no more to read */
    const char *input; /* what waits to be written */
    size_t input_size;
    gboolean eof_sent;
    char chunk[CHUNK]; /* what was read from input_fd */
    Sink *sink;
    void *data;
} Pump;

void hx_ssh_output_clear(HxSshOutput *output)
{
    if (output->out)
        g_string_free(output->out, TRUE);
    if (output->err)
        g_string_free(output->err, TRUE);
    *output = (HxSshOutput){};
}

/* Take what has come on one of the two streams. */
static gboolean drain(Pump *pump, gboolean is_stderr, GError **error)
{
    char buffer[CHUNK];
    for (;;) {
        int n = ssh_channel_read_nonblocking(pump->channel, buffer, sizeof buffer, is_stderr);
        if (n == 0 || n == SSH_EOF || n == SSH_AGAIN)
            return TRUE;
        if (n < 0)
            return hx_ssh_failed(pump->ssh, HX_ERROR_PROTOCOL, "running a command", error);
        if (!pump->sink(pump->data, is_stderr, buffer, n, error))
            return FALSE;
    }
}

/* Write what the guest has room for. */
static gboolean feed(Pump *pump, GError **error)
{
    while (pump->input_size > 0) {
        size_t size = MIN(MIN(pump->input_size, ssh_channel_window_size(pump->channel)), CHUNK);
        if (size == 0)
            return TRUE;
        int n = ssh_channel_write(pump->channel, pump->input, size);
        if (n < 0) {
            /* A command may end, or close its stdin, before it has read all. */
            if (ssh_is_connected(pump->ssh->session) &&
                (ssh_channel_is_closed(pump->channel) || ssh_channel_is_eof(pump->channel))) {
                pump->input_size = 0;
                pump->input_fd = -1;
                pump->eof_sent = TRUE;
                return TRUE;
            }
            return hx_ssh_failed(pump->ssh, HX_ERROR_PROTOCOL, "running a command", error);
        }
        if (n == 0)
            return TRUE;
        pump->input += n;
        pump->input_size -= n;
    }
    if (pump->input_fd < 0 && !pump->eof_sent) {
        ssh_channel_send_eof(pump->channel);
        pump->eof_sent = TRUE;
    }
    return TRUE;
}

/* Wait until the socket or the input has something, and read the input. */
static void wait_for_more(Pump *pump)
{
    ssh_session session = pump->ssh->session;
    short events = POLLIN;
    if (ssh_get_poll_flags(session) & SSH_WRITE_PENDING)
        events |= POLLOUT;
    gboolean want_input = pump->input_fd >= 0 && pump->input_size == 0;
    struct pollfd fds[] = {
        {.fd = ssh_get_fd(session), .events = events},
        {.fd = want_input ? pump->input_fd : -1, .events = POLLIN},
    };
    if (poll(fds, G_N_ELEMENTS(fds), -1) < 0 || !fds[1].revents)
        return;
    ssize_t n = read(pump->input_fd, pump->chunk, sizeof pump->chunk);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    pump->input = pump->chunk;
    pump->input_size = MAX(n, 0);
    if (n <= 0)
        pump->input_fd = -1;
}

static int signal_number(const char *name)
{
    /* The names of RFC 4254, 6.10. */
    static const struct {
        const char *name;
        int number;
    } signals[] = {
        {"ABRT", SIGABRT}, {"ALRM", SIGALRM}, {"FPE", SIGFPE},   {"HUP", SIGHUP},
        {"ILL", SIGILL},   {"INT", SIGINT},   {"KILL", SIGKILL}, {"PIPE", SIGPIPE},
        {"QUIT", SIGQUIT}, {"SEGV", SIGSEGV}, {"TERM", SIGTERM}, {"USR1", SIGUSR1},
        {"USR2", SIGUSR2},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(signals); i++)
        if (g_str_equal(name, signals[i].name))
            return signals[i].number;
    return 127;
}

/* TRUE once the command's status is known: @ret_status. */
static gboolean has_ended(Pump *pump, int *ret_status)
{
    if (!ssh_channel_is_eof(pump->channel) && !ssh_channel_is_closed(pump->channel))
        return FALSE;
    uint32_t code = 0;
    char *name = NULL;
    if (ssh_channel_get_exit_state(pump->channel, &code, &name, NULL) != SSH_OK)
        return FALSE;
    *ret_status = name ? 128 + signal_number(name) : (int)(code & 0xff);
    ssh_string_free_char(name);
    return TRUE;
}

static gboolean run(Pump *pump, int *ret_status, GError **error)
{
    HxSsh *ssh = pump->ssh;
    for (;;) {
        if (!drain(pump, FALSE, error) || !drain(pump, TRUE, error) || !feed(pump, error))
            return FALSE;
        if (has_ended(pump, ret_status))
            return drain(pump, FALSE, error) && drain(pump, TRUE, error);
        if (!ssh_is_connected(ssh->session) ||
            hx_deadline_state(ssh->deadline) != HX_DEADLINE_HOLDS)
            return hx_ssh_failed(ssh, HX_ERROR_PROTOCOL, "running a command", error);
        if (ssh_channel_is_closed(pump->channel)) {
            g_set_error(error, HX_ERROR, HX_ERROR_GUEST,
                        "VM \"%s\" closed a command's channel without its exit status", ssh->vm);
            return FALSE;
        }
        wait_for_more(pump);
    }
}

static gboolean start_and_run(Pump *pump, const char *command, int *ret_status, GError **error)
{
    HxSsh *ssh = pump->ssh;
    g_auto(ssh_channel) channel = ssh_channel_new(ssh->session);
    if (!channel || ssh_channel_open_session(channel) != SSH_OK ||
        ssh_channel_request_exec(channel, command) != SSH_OK)
        return hx_ssh_failed(ssh, HX_ERROR_GUEST, "starting a command", error);
    pump->channel = channel;
    ssh_set_blocking(ssh->session, 0);
    gboolean done = run(pump, ret_status, error);
    ssh_set_blocking(ssh->session, 1);
    hx_ssh_begin(ssh, 0);
    return done;
}

static gboolean keep(void *data, gboolean is_stderr, const char *bytes, size_t size, GError **error)
{
    HxSshOutput *output = data;
    GString *string = is_stderr ? output->err : output->out;
    if (string->len + size > HX_SSH_OUTPUT_MAX) {
        g_set_error(error, HX_ERROR, HX_ERROR_GUEST, "a command in the guest wrote over %d MiB",
                    HX_SSH_OUTPUT_MAX >> 20);
        return FALSE;
    }
    g_string_append_len(string, bytes, size);
    return TRUE;
}

gboolean hx_ssh_run(HxSsh *ssh, const char *command, GBytes *input, guint timeout,
                    HxSshOutput *ret_output, GError **error)
{
    g_auto(HxSshOutput) output = {.out = g_string_new(NULL), .err = g_string_new(NULL)};
    g_autofree Pump *pump = g_new0(Pump, 1);
    pump->ssh = ssh;
    pump->input_fd = -1;
    pump->input = input ? g_bytes_get_data(input, &pump->input_size) : NULL;
    pump->sink = keep;
    pump->data = &output;
    hx_ssh_begin(ssh, timeout);
    if (!start_and_run(pump, command, &output.exit_status, error))
        return FALSE;
    *ret_output = output;
    output = (HxSshOutput){};
    return TRUE;
}

typedef struct {
    int out;
    int err;
} Descriptors;

static gboolean pass(void *data, gboolean is_stderr, const char *bytes, size_t size, GError **error)
{
    const Descriptors *to = data;
    int result = hx_write_all(is_stderr ? to->err : to->out, bytes, size);
    if (result < 0)
        hx_set_error_errno(error, HX_ERROR_FAILED, -result, "cannot pass a command's output on");
    return result == 0;
}

gboolean hx_ssh_pass(HxSsh *ssh, const char *command, int input_fd, int output_fd, int error_fd,
                     int *ret_exit_status, GError **error)
{
    Descriptors to = {output_fd, error_fd};
    g_autofree Pump *pump = g_new0(Pump, 1);
    pump->ssh = ssh;
    pump->input_fd = input_fd;
    pump->sink = pass;
    pump->data = &to;
    hx_ssh_begin(ssh, 0);
    return start_and_run(pump, command, ret_exit_status, error);
}
