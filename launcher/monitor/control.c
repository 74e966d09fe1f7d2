/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/monitor/control.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "launcher/base/error.h"
#include "launcher/base/fd.h"
#include "launcher/base/json.h"
#include "launcher/base/pause.h"

#define LINE_MAX_SIZE (64 * 1024)

struct HxControl {
    int fd;
    GString *pending;
    int timeout; /* ms; -1: none */
};

HxControl *hx_control_new(int fd)
{
    HxControl *control = g_new0(HxControl, 1);
    control->fd = fd;
    control->pending = g_string_new(NULL);
    control->timeout = -1;
    return control;
}

void hx_control_set_timeout(HxControl *control, guint milliseconds)
{
    control->timeout = milliseconds;
}

void hx_control_free(HxControl *control)
{
    if (!control)
        return;
    hx_close(&control->fd);
    g_string_free(control->pending, TRUE);
    g_free(control);
}

gboolean hx_control_send(HxControl *control, const char *request, GError **error)
{
    g_autofree char *line = g_strconcat(request, "\n", NULL);
    int r = hx_write_all(control->fd, line, strlen(line));
    if (r < 0)
        hx_set_error_errno(error, HX_ERROR_FAILED, -r, "cannot ask the monitor");
    return r == 0;
}

static gboolean wait_for_bytes(HxControl *control, gint64 deadline, GCancellable *cancel,
                               GError **error)
{
    int r = hx_await_readable(control->fd, deadline, cancel);
    if (r == -ECANCELED)
        g_set_error_literal(error, HX_ERROR, HX_ERROR_CANCELLED, "interrupted");
    else if (r == -ETIMEDOUT)
        g_set_error_literal(
            error, HX_ERROR, HX_ERROR_TIMEOUT,
            "the VM's monitor does not answer: is the process \"helixvm monitor\" stopped?");
    else if (r < 0)
        hx_set_error_errno(error, HX_ERROR_FAILED, -r, "cannot hear the monitor");
    return r == 0;
}

static JsonObject *parse(const char *line, GError **error)
{
    JsonObject *object = hx_json_parse_object(line, -1);
    if (object)
        return object;
    g_set_error_literal(error, HX_ERROR, HX_ERROR_PROTOCOL,
                        "the monitor's answer is not understood: is it of another version?");
    return NULL;
}

JsonObject *hx_control_next(HxControl *control, GCancellable *cancel, GError **error)
{
    gint64 deadline = control->timeout < 0
                          ? G_MAXINT64
                          : g_get_monotonic_time() + control->timeout * G_TIME_SPAN_MILLISECOND;
    for (;;) {
        char *newline = strchr(control->pending->str, '\n');
        if (newline) {
            size_t length = newline - control->pending->str;
            g_autofree char *line = g_strndup(control->pending->str, length);
            g_string_erase(control->pending, 0, length + 1);
            return parse(line, error);
        }
        if (control->pending->len > LINE_MAX_SIZE)
            return parse("", error);
        if (!wait_for_bytes(control, deadline, cancel, error))
            return NULL;
        char buffer[4096];
        ssize_t n = read(control->fd, buffer, sizeof buffer);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != ECONNRESET) {
            hx_set_error_errno(error, HX_ERROR_FAILED, errno, "cannot hear the monitor");
            return NULL;
        }
        if (n <= 0)
            return NULL;
        g_string_append_len(control->pending, buffer, n);
    }
}
