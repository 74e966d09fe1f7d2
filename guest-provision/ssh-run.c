/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guest-provision/ssh-pump.h"
#include "launcher/base/error.h"

void hx_ssh_output_clear(HxSshOutput *output)
{
    if (output->out)
        g_string_free(output->out, TRUE);
    if (output->err)
        g_string_free(output->err, TRUE);
    *output = (HxSshOutput){};
}

gboolean hx_ssh_run(HxSsh *ssh, const char *command, GBytes *input, guint timeout,
                    HxSshOutput *ret_output, GError **error)
{
    return hx_ssh_run_told(ssh, command, input, timeout, NULL, NULL, ret_output, error);
}

gboolean hx_ssh_run_told(HxSsh *ssh, const char *command, GBytes *input, guint timeout,
                         HxSshLine line, void *data, HxSshOutput *ret_output, GError **error)
{
    g_auto(HxSshOutput) output = {.out = g_string_new(NULL), .err = g_string_new(NULL)};
    hx_ssh_begin(ssh, timeout);
    g_autoptr(HxPump) pump = hx_pump_new(ssh, error);
    if (!pump)
        return FALSE;
    if (ssh_channel_request_exec(pump->channel, command) != SSH_OK)
        return hx_ssh_failed(ssh, HX_ERROR_GUEST, "starting a command", error);
    pump->input = input ? g_bytes_get_data(input, &pump->input_size) : NULL;
    pump->out.kept = output.out;
    pump->err.kept = output.err;
    pump->out.line = line;
    pump->out.line_data = data;
    if (!hx_pump_run(pump, &output.exit_status, error))
        return FALSE;
    *ret_output = output;
    output = (HxSshOutput){};
    return TRUE;
}
