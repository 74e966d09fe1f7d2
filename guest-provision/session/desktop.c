/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Theory of operation.  Nothing is polled for and nothing waits in order:
 *
 *   PipeWire's socket is made here and handed over, so its clients may connect at once and are
 * served when the daemon is up.  Weston tells that it is up by its systemd-notify module; then the
 * first client starts.  The linker joins compositor and encoder pipeline whenever both are there.
 *
 * The end of PipeWire or Weston is the end of the desktop, and so is a failure of the first client.
 * That may end well and leave a desktop behind: one that starts others does. */
#include "guest-provision/session/desktop.h"

#include "guest-provision/session/child.h"
#include "guest-provision/session/desktop-files.h"
#include "guest-provision/session/link.h"

#include <errno.h>
#include <glib-unix.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* How long processes are given between SIGTERM and SIGKILL. */
#define STOP_TIME (3 * G_USEC_PER_SEC)
#define DISPLAY_NAME "wayland-0"

struct SessionDesktop {
    char *directory;
    char **command;
    char **envp;
    SessionDesktopEvents events;
    SessionChild *pipewire, *weston, *client;
    SessionLinker *linker;
    int notify_fd;
    guint notify_source;
    gboolean is_ready;
};

static const char *const files[] = {"pipewire.conf", "client.conf",    "weston.ini",
                                    "weston.log",    "pipewire-0",     "pipewire-0-manager",
                                    "notify",        "pipewire-0.lock"};

static char *path_of(const SessionDesktop *desktop, const char *name)
{
    return g_build_filename(desktop->directory, name, NULL);
}

/* --- starting --------------------------------------------------------------------------------- */

static gboolean write_file(const SessionDesktop *desktop, const char *name, const char *text,
                           GError **error)
{
    g_autofree char *path = path_of(desktop, name);
    return g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_NONE, 0600, error);
}

static gboolean write_files(const SessionDesktop *desktop, const SessionConfig *config,
                            GError **error)
{
    g_autofree char *ini = session_weston_ini(config);
    return write_file(desktop, "pipewire.conf", session_pipewire_conf, error) &&
           write_file(desktop, "client.conf", session_pipewire_client_conf, error) &&
           write_file(desktop, "weston.ini", ini, error);
}

/* Bind a Unix socket of @type below the directory; listens where it is a stream. */
static int bind_socket(const SessionDesktop *desktop, const char *name, int type, GError **error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    g_autofree char *path = path_of(desktop, name);
    int fd = -1;
    if (g_strlcpy(address.sun_path, path, sizeof address.sun_path) >= sizeof address.sun_path)
        errno = ENAMETOOLONG;
    else
        fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0) {
        unlink(path);
        if (bind(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
            (type != SOCK_STREAM || listen(fd, SOMAXCONN) == 0))
            return fd;
    }
    g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "%s: %s", path, g_strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

static void fail(SessionDesktop *desktop, const char *reason)
{
    desktop->events.failed(reason, desktop->events.data);
}

static void link_failed(const char *reason, void *data)
{
    fail(data, reason);
}

/* What @child said last: the end of Weston's log, where it is Weston. */
static char *last_words(const SessionDesktop *desktop, const SessionChild *child)
{
    g_autofree char *path = path_of(desktop, "weston.log");
    g_autofree char *text = NULL;
    if (child != desktop->weston || !g_file_get_contents(path, &text, NULL, NULL))
        return g_strdup("");
    g_strchomp(text);
    const char *line = strrchr(text, '\n');
    g_autofree char *valid = g_utf8_make_valid(line ? line + 1 : text, -1);
    return g_strdup_printf(": %s", valid);
}

static void part_ended(SessionChild *child, int status, void *data)
{
    SessionDesktop *desktop = data;
    g_autofree char *how = session_child_describe(status);
    g_autofree char *words = last_words(desktop, child);
    g_autofree char *reason = g_strdup_printf("%s %s%s", session_child_name(child), how, words);
    fail(desktop, reason);
}

static void client_ended(SessionChild *child, int status, void *data)
{
    SessionDesktop *desktop = data;
    g_autofree char *how = session_child_describe(status);
    g_autofree char *text =
        g_strdup_printf("the first client, %s, %s", session_child_name(child), how);
    session_child_free(g_steal_pointer(&desktop->client), 0);
    if (status == 0)
        g_message("%s", text);
    else
        fail(desktop, text);
}

static SessionChild *start(SessionDesktop *desktop, const char *const *argv, int listen_fd,
                           SessionChildEnded ended, GError **error)
{
    SessionChildSpec spec = {.argv = argv,
                             .envp = (const char *const *)desktop->envp,
                             .listen_fd = listen_fd,
                             .stdout_fd = -1,
                             .ended = ended,
                             .data = desktop};
    return session_child_start(&spec, error);
}

static gboolean start_pipewire(SessionDesktop *desktop, GError **error)
{
    g_autofree char *conf = path_of(desktop, "pipewire.conf");
    const char *const argv[] = {"pipewire", "-c", conf, NULL};
    int fd = bind_socket(desktop, "pipewire-0", SOCK_STREAM, error);
    if (fd < 0)
        return FALSE;
    desktop->pipewire = start(desktop, argv, fd, part_ended, error);
    close(fd);
    return desktop->pipewire != NULL;
}

static gboolean start_weston(SessionDesktop *desktop, GError **error)
{
    g_autofree char *ini = path_of(desktop, "weston.ini");
    g_autofree char *log = path_of(desktop, "weston.log");
    g_autofree char *config = g_strconcat("--config=", ini, NULL);
    g_autofree char *log_to = g_strconcat("--log=", log, NULL);
    const char *const argv[] = {
        "weston", "--backend=pipewire", "--renderer=gl", "--socket=" DISPLAY_NAME, config, log_to,
        NULL};
    desktop->weston = start(desktop, argv, -1, part_ended, error);
    return desktop->weston != NULL;
}

/* --- readiness -------------------------------------------------------------------------------- */

static gboolean start_client(SessionDesktop *desktop)
{
    g_autoptr(GError) error = NULL;
    if (!desktop->command)
        return TRUE;
    desktop->client =
        start(desktop, (const char *const *)desktop->command, -1, client_ended, &error);
    if (desktop->client)
        return TRUE;
    g_prefix_error(&error, "the first client: ");
    fail(desktop, error->message);
    return FALSE;
}

/* A datagram of Weston's, as sd_notify(3) sends it. */
static gboolean notified(int fd, GIOCondition condition, void *data)
{
    SessionDesktop *desktop = data;
    char text[1024];
    ssize_t size = recv(fd, text, sizeof text - 1, MSG_DONTWAIT);
    if (size < 0)
        return G_SOURCE_CONTINUE;
    text[size] = '\0';
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    if (desktop->is_ready || !g_strv_contains((const char *const *)lines, "READY=1"))
        return G_SOURCE_CONTINUE;
    desktop->is_ready = TRUE;
    if (start_client(desktop))
        desktop->events.ready(desktop->events.data);
    return G_SOURCE_CONTINUE;
}

static gboolean listen_for_ready(SessionDesktop *desktop, GError **error)
{
    desktop->notify_fd = bind_socket(desktop, "notify", SOCK_DGRAM, error);
    if (desktop->notify_fd < 0)
        return FALSE;
    desktop->notify_source = g_unix_fd_add(desktop->notify_fd, G_IO_IN, notified, desktop);
    return TRUE;
}

static char **make_environment(const SessionDesktop *desktop)
{
    g_autofree char *notify = path_of(desktop, "notify");
    char **envp = g_get_environ();
    envp = g_environ_setenv(envp, "XDG_RUNTIME_DIR", desktop->directory, TRUE);
    envp = g_environ_setenv(envp, "PIPEWIRE_CONFIG_DIR", desktop->directory, TRUE);
    envp = g_environ_setenv(envp, "WAYLAND_DISPLAY", DISPLAY_NAME, TRUE);
    envp = g_environ_setenv(envp, "NOTIFY_SOCKET", notify, TRUE);
    static const char *const not_theirs[] = {
        "DISPLAY",       "DBUS_SESSION_BUS_ADDRESS", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES",
        "WATCHDOG_USEC", "PIPEWIRE_REMOTE"};
    for (gsize i = 0; i < G_N_ELEMENTS(not_theirs); i++)
        envp = g_environ_unsetenv(envp, not_theirs[i]);
    return envp;
}

SessionDesktop *session_desktop_start(const SessionConfig *config, const char *directory,
                                      const SessionDesktopEvents *events, GError **error)
{
    SessionDesktop *desktop = g_new0(SessionDesktop, 1);
    desktop->directory = g_strdup(directory);
    desktop->command = g_strdupv(config->command);
    desktop->events = *events;
    desktop->notify_fd = -1;
    desktop->envp = make_environment(desktop);
    g_setenv("XDG_RUNTIME_DIR", directory, TRUE);
    g_setenv("PIPEWIRE_CONFIG_DIR", directory, TRUE);
    if (!write_files(desktop, config, error) || !listen_for_ready(desktop, error) ||
        !start_pipewire(desktop, error) || !start_weston(desktop, error)) {
        session_desktop_free(desktop);
        return NULL;
    }
    desktop->linker =
        session_linker_start(SESSION_SOURCE_NODE ":output_1", SESSION_SINK_NODE ":input_1",
                             (const char *const *)desktop->envp, link_failed, desktop, error);
    if (!desktop->linker) {
        session_desktop_free(desktop);
        return NULL;
    }
    return desktop;
}

char *session_desktop_gl_renderer(const SessionDesktop *desktop)
{
    static const char label[] = "GL renderer: ";
    g_autofree char *path = path_of(desktop, "weston.log");
    g_autofree char *text = NULL;
    if (!desktop->is_ready || !g_file_get_contents(path, &text, NULL, NULL))
        return NULL;
    const char *start_of = strstr(text, label);
    if (!start_of)
        return NULL;
    start_of += strlen(label);
    g_autofree char *line = g_strndup(start_of, strcspn(start_of, "\n"));
    return g_utf8_make_valid(line, -1);
}

void session_desktop_free(SessionDesktop *desktop)
{
    if (!desktop)
        return;
    gint64 deadline = g_get_monotonic_time() + STOP_TIME;
    session_linker_free(desktop->linker);
    session_child_terminate(desktop->client);
    session_child_terminate(desktop->weston);
    session_child_free(desktop->client, deadline);
    session_child_free(desktop->weston, deadline);
    session_child_terminate(desktop->pipewire);
    session_child_free(desktop->pipewire, deadline);
    if (desktop->notify_source)
        g_source_remove(desktop->notify_source);
    if (desktop->notify_fd >= 0)
        close(desktop->notify_fd);
    for (gsize i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autofree char *path = path_of(desktop, files[i]);
        unlink(path);
    }
    g_strfreev(desktop->command);
    g_strfreev(desktop->envp);
    g_free(desktop->directory);
    g_free(desktop);
}
