/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Theory of operation.  A command's stdin, stdout and stderr share one connection, and each may
 * wait for another: a command that prints while it reads would stop for ever under a caller that
 * first writes all and then reads, and so would its stderr under a caller whose stdout is stuck.
 * So nothing blocks: what has come is taken as far as its outlet has room (the rest stays in the
 * channel, whose window then stops the guest), what the guest's window has room for is written,
 * then poll(2) waits for whatever can go on.  Any of libssh's calls may take from the socket what
 * is for another stream, or the command's end: before the wait, all that has come was looked at, or
 * nothing would end the wait.  The deadline ends that wait, also where the command
 * has ended and nobody reads what it wrote. */
#include "guest-provision/ssh-pump.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "launcher/base/error.h"
#include "launcher/base/outlet.h"

static gboolean is_full(const HxOutlet *outlet)
{
    return outlet->begin < outlet->end;
}

/* Write what waits.  FALSE where nobody reads it any more. */
static gboolean flush(HxOutlet *outlet, GError **error)
{
    ssize_t n =
        hx_outlet_write(outlet->fd, outlet->pending + outlet->begin, outlet->end - outlet->begin);
    outlet->begin += MAX(n, 0);
    if (n >= 0 || n == -EINTR || n == -EAGAIN)
        return TRUE;
    if (n != -EPIPE)
        hx_set_error_errno(error, HX_ERROR_FAILED, -n, "cannot pass a command's output on");
    return FALSE;
}

/* The lines that are whole and have not been told. */
static void tell_lines(HxOutlet *outlet)
{
    const char *end;
    while ((end = memchr(outlet->kept->str + outlet->told, '\n',
                         outlet->kept->len - outlet->told)) != NULL) {
        const char *begin = outlet->kept->str + outlet->told;
        g_autofree char *line = g_strndup(begin, end - begin);
        outlet->told = end + 1 - outlet->kept->str;
        outlet->line(line, outlet->line_data);
    }
}

static gboolean keep(HxOutlet *outlet, size_t size, GError **error)
{
    if (outlet->kept->len + size > HX_SSH_OUTPUT_MAX) {
        g_set_error(error, HX_ERROR, HX_ERROR_GUEST, "a command in the guest wrote over %d MiB",
                    HX_SSH_OUTPUT_MAX >> 20);
        return FALSE;
    }
    g_string_append_len(outlet->kept, outlet->pending, size);
    if (outlet->line)
        tell_lines(outlet);
    return TRUE;
}

/* Take what has come on one of the two streams, as far as there is room for it. */
static gboolean drain(HxPump *pump, gboolean is_stderr, GError **error)
{
    HxOutlet *outlet = is_stderr ? &pump->err : &pump->out;
    while (!is_full(outlet)) {
        int n = ssh_channel_read_nonblocking(pump->channel, outlet->pending, sizeof outlet->pending,
                                             is_stderr);
        if (n == 0 || n == SSH_EOF || n == SSH_AGAIN)
            return TRUE;
        if (n < 0)
            return hx_ssh_failed(pump->ssh, HX_ERROR_PROTOCOL, "running a command", error);
        if (outlet->kept) {
            if (!keep(outlet, n, error))
                return FALSE;
        } else if (outlet->fd >= 0) {
            outlet->begin = 0;
            outlet->end = n;
        }
    }
    return TRUE;
}

/* Write what the guest has room for. */
static gboolean feed(HxPump *pump, GError **error)
{
    while (pump->input_size > 0) {
        size_t size =
            MIN(MIN(pump->input_size, ssh_channel_window_size(pump->channel)), HX_PUMP_CHUNK);
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

static gboolean read_input(HxPump *pump, GError **error)
{
    ssize_t n = read(pump->input_fd, pump->chunk, HX_PUMP_CHUNK);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return TRUE;
    if (n <= 0) {
        pump->input_fd = -1;
        return TRUE;
    }
    if (pump->filter)
        n = pump->filter(pump, n, error);
    pump->input = pump->chunk;
    pump->input_size = MAX(n, 0);
    return n >= 0;
}

/* Wait until the socket, the input, an outlet or the event has something, or the deadline is over,
 * and see to all but the first and the last.  A command that ended leaves its output alone to wait
 * for.  FALSE with @error, or without one where nobody reads an outlet any more. */
static gboolean wait_for_more(HxPump *pump, GError **error)
{
    ssh_session session = pump->ssh->session;
    gboolean out_full = is_full(&pump->out), err_full = is_full(&pump->err);
    /* Where there is room for neither stream, libssh reads no more, and the poll would not wait. */
    short events = out_full && err_full ? 0 : POLLIN;
    if (ssh_get_poll_flags(session) & SSH_WRITE_PENDING)
        events |= POLLOUT;
    gboolean want_input = !pump->ended && pump->input_fd >= 0 && pump->input_size == 0;
    struct pollfd fds[] = {
        {.fd = pump->ended ? -1 : ssh_get_fd(session), .events = events},
        {.fd = want_input ? pump->input_fd : -1, .events = POLLIN},
        {.fd = out_full ? pump->out.fd : -1, .events = POLLOUT},
        {.fd = err_full ? pump->err.fd : -1, .events = POLLOUT},
        {.fd = pump->event_fd, .events = POLLIN},
        {.fd = hx_deadline_fd(pump->ssh->deadline), .events = POLLIN},
    };
    if (poll(fds, G_N_ELEMENTS(fds), -1) < 0)
        return TRUE;
    return (!fds[1].revents || read_input(pump, error)) &&
           (!fds[2].revents || flush(&pump->out, error)) &&
           (!fds[3].revents || flush(&pump->err, error)) &&
           (!fds[4].revents || pump->on_event(pump, error));
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
static gboolean has_ended(HxPump *pump, int *ret_status)
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

static gboolean run(HxPump *pump, int *ret_status, GError **error)
{
    HxSsh *ssh = pump->ssh;
    for (;;) {
        pump->arrived = FALSE;
        if (!drain(pump, FALSE, error) || !drain(pump, TRUE, error))
            return FALSE;
        pump->ended = pump->ended || has_ended(pump, ret_status);
        /* Once more after the end is known: what came with it. */
        if (pump->ended && (!drain(pump, FALSE, error) || !drain(pump, TRUE, error)))
            return FALSE;
        if (pump->ended && !is_full(&pump->out) && !is_full(&pump->err))
            return TRUE;
        if (hx_deadline_state(ssh->deadline) != HX_DEADLINE_HOLDS)
            return hx_ssh_failed(ssh, HX_ERROR_PROTOCOL, "running a command", error);
        if (!pump->ended) {
            if (!feed(pump, error))
                return FALSE;
            if (!ssh_is_connected(ssh->session))
                return hx_ssh_failed(ssh, HX_ERROR_PROTOCOL, "running a command", error);
            if (ssh_channel_is_closed(pump->channel)) {
                g_set_error(error, HX_ERROR, HX_ERROR_GUEST,
                            "VM \"%s\" closed a command's channel without its exit status",
                            ssh->vm);
                return FALSE;
            }
        }
        if (pump->arrived)
            continue;
        g_autoptr(GError) cause = NULL;
        if (wait_for_more(pump, &cause))
            continue;
        if (cause) {
            g_propagate_error(error, g_steal_pointer(&cause));
            return FALSE;
        }
        *ret_status = 128 + SIGPIPE;
        return TRUE;
    }
}

gboolean hx_pump_run(HxPump *pump, int *ret_status, GError **error)
{
    ssh_set_blocking(pump->ssh->session, 0);
    gboolean done = run(pump, ret_status, error);
    ssh_set_blocking(pump->ssh->session, 1);
    hx_ssh_begin(pump->ssh, 0);
    return done;
}

/* --- what comes for the channel ----------------------------------------------------------------
 */

static int data_came(ssh_session session, ssh_channel channel, void *data, uint32_t size,
                     int is_stderr, void *pump)
{
    ((HxPump *)pump)->arrived = TRUE;
    /* It stays in the channel. */
    return 0;
}

static void end_came(ssh_session session, ssh_channel channel, void *pump)
{
    ((HxPump *)pump)->arrived = TRUE;
}

static void status_came(ssh_session session, ssh_channel channel, int status, void *pump)
{
    ((HxPump *)pump)->arrived = TRUE;
}

static void signal_came(ssh_session session, ssh_channel channel, const char *name, int core,
                        const char *message, const char *language, void *pump)
{
    ((HxPump *)pump)->arrived = TRUE;
}

static void be_told(HxPump *pump)
{
    pump->told = (struct ssh_channel_callbacks_struct){
        .userdata = pump,
        .channel_data_function = data_came,
        .channel_eof_function = end_came,
        .channel_close_function = end_came,
        .channel_exit_status_function = status_came,
        .channel_exit_signal_function = signal_came,
    };
    ssh_callbacks_init(&pump->told);
    ssh_add_channel_callbacks(pump->channel, &pump->told);
}

HxPump *hx_pump_new(HxSsh *ssh, GError **error)
{
    g_autoptr(HxPump) pump = g_new0(HxPump, 1);
    pump->ssh = ssh;
    pump->input_fd = pump->out.fd = pump->err.fd = pump->event_fd = -1;
    pump->channel = ssh_channel_new(ssh->session);
    if (pump->channel)
        be_told(pump);
    if (pump->channel && ssh_channel_open_session(pump->channel) == SSH_OK)
        return g_steal_pointer(&pump);
    hx_ssh_failed(ssh, HX_ERROR_GUEST, "starting a command", error);
    return NULL;
}

void hx_pump_free(HxPump *pump)
{
    if (!pump)
        return;
    if (pump->channel) {
        /* libssh may keep the channel until the guest has closed it. */
        ssh_remove_channel_callbacks(pump->channel, &pump->told);
        ssh_channel_free(pump->channel);
    }
    g_free(pump);
}
