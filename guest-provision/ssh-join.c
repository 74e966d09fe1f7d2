/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A command in the guest, joined to descriptors or to a terminal. */
#include <string.h>
#include <sys/eventfd.h>

#include "guest-provision/ssh-escape.h"
#include "guest-provision/ssh-pump.h"
#include "launcher/base/error.h"
#include "launcher/base/fd.h"
#include "launcher/base/outlet.h"

typedef struct {
    const HxSshJoin *join;
    HxEscape escape;
    char typed[HX_PUMP_CHUNK];
} Joined;

static const char help[] = "\r\n"
                           "~.   end the connection\r\n"
                           "~^Z  suspend helixvm\r\n"
                           "~~   send a ~\r\n"
                           "~?   this text\r\n"
                           "(each at the begin of a line)\r\n";

static gboolean do_escape(HxPump *pump, HxEscapeAct act, GError **error)
{
    const Joined *joined = pump->data;
    const HxSshTerminal *terminal = joined->join->terminal;
    switch (act) {
    case HX_ESCAPE_NONE:
        break;
    case HX_ESCAPE_END:
        g_set_error(error, HX_ERROR, HX_ERROR_CANCELLED,
                    "you ended the connection to VM \"%s\" (~.)", pump->ssh->vm);
        return FALSE;
    case HX_ESCAPE_SUSPEND:
        if (terminal->suspend)
            terminal->suspend();
        break;
    case HX_ESCAPE_HELP:
        hx_write_all(joined->join->output_fd, help, strlen(help));
        break;
    }
    return TRUE;
}

static gssize filter_typed(HxPump *pump, size_t size, GError **error)
{
    Joined *joined = pump->data;
    memcpy(joined->typed, pump->chunk, size);
    size_t taken = 0, put = 0;
    while (taken < size) {
        HxEscapeAct act;
        size_t n;
        taken += hx_escape_filter(&joined->escape, joined->typed + taken, size - taken,
                                  pump->chunk + put, &n, &act);
        put += n;
        if (!do_escape(pump, act, error))
            return -1;
    }
    return put;
}

static gboolean on_size_changed(HxPump *pump, GError **error)
{
    const HxSshTerminal *terminal = ((const Joined *)pump->data)->join->terminal;
    eventfd_t count;
    guint columns, rows;
    eventfd_read(pump->event_fd, &count);
    terminal->size(&columns, &rows);
    ssh_channel_change_pty_size(pump->channel, columns, rows);
    return TRUE;
}

static gboolean on_interrupt(HxPump *pump, GError **error)
{
    const HxSshJoin *join = ((const Joined *)pump->data)->join;
    pump->event_fd = -1;
    if (pump->ended)
        hx_ssh_set_grace(pump->ssh, 0);
    /* A guest that knows no signals is given up when the grace is over. */
    ssh_channel_request_send_signal(pump->channel, join->interrupt_signal());
    return TRUE;
}

static gboolean request(HxPump *pump, const HxSshJoin *join)
{
    const HxSshTerminal *terminal = join->terminal;
    if (terminal) {
        guint columns, rows;
        terminal->size(&columns, &rows);
        if (ssh_channel_request_pty_size(pump->channel, terminal->type, columns, rows) != SSH_OK)
            return FALSE;
    }
    return (join->command ? ssh_channel_request_exec(pump->channel, join->command)
                          : ssh_channel_request_shell(pump->channel)) == SSH_OK;
}

static gboolean open_outlet(int fd, int *ret_outlet, GError **error)
{
    int outlet = fd >= 0 ? hx_outlet_open(fd) : -1;
    if (fd >= 0 && outlet < 0) {
        hx_set_error_errno(error, HX_ERROR_FAILED, -outlet, "cannot pass a command's output on");
        return FALSE;
    }
    *ret_outlet = outlet;
    return TRUE;
}

gboolean hx_ssh_join(HxSsh *ssh, const HxSshJoin *join, int *ret_exit_status, GError **error)
{
    g_autofree Joined *joined = g_new0(Joined, 1);
    joined->join = join;
    hx_autofd int out = -1, err = -1;
    if (!open_outlet(join->output_fd, &out, error) || !open_outlet(join->error_fd, &err, error))
        return FALSE;
    hx_ssh_begin(ssh, 0);
    g_autoptr(HxPump) pump = hx_pump_new(ssh, error);
    if (!pump)
        return FALSE;
    if (!request(pump, join))
        return hx_ssh_failed(ssh, HX_ERROR_GUEST, "starting a command", error);
    pump->data = joined;
    pump->input_fd = join->input_fd;
    pump->out.fd = out;
    pump->err.fd = err;
    int interrupt_fd = -1;
    if (join->terminal) {
        pump->filter = filter_typed;
        pump->event_fd = join->terminal->changed_fd;
        pump->on_event = on_size_changed;
    } else if (join->interrupt) {
        pump->event_fd = interrupt_fd = g_cancellable_get_fd(join->interrupt);
        pump->on_event = on_interrupt;
    }
    if (join->terminal && join->terminal->begin && !join->terminal->begin(error))
        return FALSE;
    gboolean done = hx_pump_run(pump, ret_exit_status, error);
    if (interrupt_fd >= 0)
        g_cancellable_release_fd(join->interrupt);
    return done;
}
