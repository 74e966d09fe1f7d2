/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Theory of operation.  A monitor, "pw-link -m -o -i -I", tells of ports that come and go.  As soon
 * as both ports are there, and again after one of them went and came back, "pw-link OUTPUT INPUT"
 * links them.  A port that goes takes its link along. */
#include "guest-provision/session/link.h"

#include <fcntl.h>
#include <gio/gunixinputstream.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct SessionLinker {
    char *output, *input;
    char **envp;
    gboolean has_output, has_input;
    SessionChild *monitor;
    SessionChild *link; /* at work, or NULL */
    gboolean link_again;
    GCancellable *cancellable;
    SessionLinkFailed failed;
    void *data;
};

gboolean session_linker_parse(const char *line, gboolean *ret_present, const char **ret_port)
{
    if (!strchr("=+-", line[0]) || !line[0])
        return FALSE;
    *ret_present = line[0] != '-';
    const char *p = line + 1;
    p += strspn(p, " \t");
    gsize digits = strspn(p, "0123456789");
    if (!digits || p[digits] != ' ')
        return FALSE;
    *ret_port = p + digits + 1;
    return **ret_port != '\0';
}

static void make_link(SessionLinker *linker);

static void link_ended(SessionChild *child, int status, void *data)
{
    SessionLinker *linker = data;
    session_child_free(g_steal_pointer(&linker->link), 0);
    gboolean wanted = linker->has_output && linker->has_input;
    if (linker->link_again) {
        linker->link_again = FALSE;
        make_link(linker);
    } else if (wanted && !(WIFEXITED(status) && WEXITSTATUS(status) == 0)) {
        g_autofree char *how = session_child_describe(status);
        g_autofree char *reason =
            g_strdup_printf("pw-link %s %s %s", linker->output, linker->input, how);
        linker->failed(reason, linker->data);
    }
}

static void make_link(SessionLinker *linker)
{
    if (!linker->has_output || !linker->has_input)
        return;
    if (linker->link) {
        linker->link_again = TRUE;
        return;
    }
    const char *const argv[] = {"pw-link", linker->output, linker->input, NULL};
    SessionChildSpec spec = {.argv = argv,
                             .envp = (const char *const *)linker->envp,
                             .listen_fd = -1,
                             .stdout_fd = -1,
                             .ended = link_ended,
                             .data = linker};
    g_autoptr(GError) error = NULL;
    linker->link = session_child_start(&spec, &error);
    if (!linker->link)
        linker->failed(error->message, linker->data);
}

static void port_changed(SessionLinker *linker, const char *line)
{
    gboolean present;
    const char *port;
    if (!session_linker_parse(line, &present, &port))
        return;
    gboolean *has = strcmp(port, linker->output) == 0  ? &linker->has_output
                    : strcmp(port, linker->input) == 0 ? &linker->has_input
                                                       : NULL;
    if (!has || *has == present)
        return;
    *has = present;
    make_link(linker);
}

static void read_line(GDataInputStream *stream, SessionLinker *linker);

static void line_read(GObject *source, GAsyncResult *result, void *data)
{
    g_autoptr(GError) error = NULL;
    GDataInputStream *stream = G_DATA_INPUT_STREAM(source);
    g_autofree char *line = g_data_input_stream_read_line_finish_utf8(stream, result, NULL, &error);
    /* The end of the monitor is told by the child; after a cancel the linker is gone. */
    if (!line)
        return;
    port_changed(data, line);
    read_line(stream, data);
}

static void read_line(GDataInputStream *stream, SessionLinker *linker)
{
    g_data_input_stream_read_line_async(stream, G_PRIORITY_DEFAULT, linker->cancellable, line_read,
                                        linker);
}

static void monitor_ended(SessionChild *child, int status, void *data)
{
    SessionLinker *linker = data;
    g_autofree char *how = session_child_describe(status);
    g_autofree char *reason = g_strdup_printf("pw-link -m %s", how);
    linker->failed(reason, linker->data);
}

SessionLinker *session_linker_start(const char *output, const char *input, const char *const *envp,
                                    SessionLinkFailed failed, void *data, GError **error)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0) {
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "pipe: %s", g_strerror(errno));
        return NULL;
    }
    SessionLinker *linker = g_new0(SessionLinker, 1);
    linker->output = g_strdup(output);
    linker->input = g_strdup(input);
    linker->envp = g_strdupv((char **)envp);
    linker->failed = failed;
    linker->data = data;
    linker->cancellable = g_cancellable_new();
    const char *const argv[] = {"pw-link", "-m", "-o", "-i", "-I", NULL};
    SessionChildSpec spec = {.argv = argv,
                             .envp = envp,
                             .listen_fd = -1,
                             .stdout_fd = fds[1],
                             .ended = monitor_ended,
                             .data = linker};
    linker->monitor = session_child_start(&spec, error);
    close(fds[1]);
    g_autoptr(GInputStream) raw = g_unix_input_stream_new(fds[0], TRUE);
    if (!linker->monitor) {
        session_linker_free(linker);
        return NULL;
    }
    g_autoptr(GDataInputStream) stream = g_data_input_stream_new(raw);
    read_line(stream, linker);
    return linker;
}

void session_linker_free(SessionLinker *linker)
{
    if (!linker)
        return;
    g_cancellable_cancel(linker->cancellable);
    g_object_unref(linker->cancellable);
    session_child_free(linker->link, 0);
    session_child_free(linker->monitor, 0);
    g_free(linker->output);
    g_free(linker->input);
    g_strfreev(linker->envp);
    g_free(linker);
}
