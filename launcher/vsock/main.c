/* SPDX-License-Identifier: GPL-2.0-or-later */
/* helixvm-vsock: a vhost-user vsock device for one VM. */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "launcher/base/error.h"
#include "launcher/base/fd.h"
#include "launcher/base/log.h"
#include "launcher/base/sandbox.h"
#include "launcher/base/unix-socket.h"
#include "launcher/vsock/device.h"
#include "launcher/vsock/sandbox.h"
#include "launcher/vsock/session.h"
#include "launcher/vsock/vhost-user.h"

typedef struct {
    int fd;
    char *socket_path;
    gint64 guest_cid;
    char *host_socket;
    int ready_fd;
    int store_fd;
} Arguments;

static void arguments_clear(Arguments *arguments)
{
    g_free(arguments->socket_path);
    g_free(arguments->host_socket);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Arguments, arguments_clear)

typedef struct {
    HxEventSource source;
    bool stop;
} Signals;

static gboolean check_arguments(const Arguments *arguments, GError **error)
{
    const char *problem = NULL;
    if ((arguments->fd >= 0) == (arguments->socket_path != NULL))
        problem = "give one of --fd and --socket-path";
    else if (arguments->guest_cid < 3 || arguments->guest_cid >= UINT32_MAX)
        problem = "give --guest-cid, from 3 to 4294967294";
    else if (!arguments->host_socket)
        problem = "give --host-socket, the path for connections of the host";
    else if (strlen(arguments->host_socket) > HX_VSOCK_PATH_MAX)
        problem = "the path of --host-socket is longer than 96 bytes";
    if (problem)
        g_set_error_literal(error, HX_ERROR, HX_ERROR_USAGE, problem);
    return problem == NULL;
}

static gboolean parse_arguments(int argc, char **argv, Arguments *arguments, GError **error)
{
    gboolean print_capabilities; /* for --help; wants_capabilities has looked */
    const GOptionEntry entries[] = {
        {"fd", 0, 0, G_OPTION_ARG_INT, &arguments->fd,
         "The Unix socket for the vhost-user front end: one that listens, or is connected to it",
         "N"},
        {"socket-path", 0, 0, G_OPTION_ARG_FILENAME, &arguments->socket_path,
         "Listen for the vhost-user front end here instead", "PATH"},
        {"guest-cid", 0, 0, G_OPTION_ARG_INT64, &arguments->guest_cid, "The guest's CID", "CID"},
        {"host-socket", 0, 0, G_OPTION_ARG_FILENAME, &arguments->host_socket,
         "Where programs of the host say \"CONNECT port\"; the guest's connections to a port go "
         "to PATH_port",
         "PATH"},
        {"ready-fd", 0, 0, G_OPTION_ARG_INT, &arguments->ready_fd,
         "Write READY=1 here when all sockets listen", "N"},
        {"store-fd", 0, 0, G_OPTION_ARG_INT, &arguments->store_fd,
         "Keep here what a next process needs to go on after this one", "N"},
        {"print-capabilities", 0, 0, G_OPTION_ARG_NONE, &print_capabilities,
         "Print what this back end is, as JSON, and exit", NULL},
        G_OPTION_ENTRY_NULL,
    };
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    g_option_context_set_summary(context, "A virtio socket device for QEMU's vhost-user-vsock.");
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, error)) {
        (*error)->domain = HX_ERROR;
        (*error)->code = HX_ERROR_USAGE;
        return FALSE;
    }
    if (argc > 1) {
        g_set_error(error, HX_ERROR, HX_ERROR_USAGE, "unexpected argument: %s", argv[1]);
        return FALSE;
    }
    return check_arguments(arguments, error);
}

static bool is_listening(int fd)
{
    int listening = 0;
    socklen_t size = sizeof listening;
    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) == 0 && listening;
}

static bool is_connected(int fd)
{
    int type = 0;
    socklen_t size = sizeof type;
    struct sockaddr_un peer;
    socklen_t peer_size = sizeof peer;
    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM &&
           getpeername(fd, (struct sockaddr *)&peer, &peer_size) == 0;
}

/* The socket for front ends, which listens or is connected to one; non-blocking. */
static int open_front_end(const Arguments *arguments, GError **error)
{
    if (arguments->socket_path) {
        int fd = hx_unix_listen(arguments->socket_path, SOCK_STREAM | SOCK_NONBLOCK, 0600);
        if (fd < 0)
            hx_set_error_errno(error, HX_ERROR_HOST, -fd, "cannot listen at %s",
                               arguments->socket_path);
        return fd;
    }
    if (!is_listening(arguments->fd) && !is_connected(arguments->fd)) {
        g_set_error(error, HX_ERROR, HX_ERROR_USAGE,
                    "--fd=%d is no stream socket that listens or is connected", arguments->fd);
        return -1;
    }
    int r = hx_set_nonblocking(arguments->fd, true);
    if (r == 0 && fcntl(arguments->fd, F_SETFD, FD_CLOEXEC) < 0)
        r = -errno;
    if (r < 0) {
        hx_set_error_errno(error, HX_ERROR_HOST, -r, "cannot use --fd=%d", arguments->fd);
        return -1;
    }
    return arguments->fd;
}

static void signalled(HxEventSource *source, uint32_t events)
{
    HX_CONTAINER_OF(source, Signals, source)->stop = true;
}

static int watch_signals(HxEvents *events, Signals *signals)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        return -errno;
    signals->source.ready = signalled;
    return hx_events_add(events, &signals->source, fd, EPOLLIN);
}

static int say_ready(int fd)
{
    static const char line[] = "READY=1\n";
    int r = hx_write_all(fd, line, sizeof line - 1);
    close(fd);
    return r;
}

static void reset_device(void *data)
{
    hx_vsock_reset(data);
}

/* Go on with what an earlier process had, and serve until a signal comes or the one front end is
 * gone.  Returns 0 or a negative errno. */
static int run(const Arguments *arguments, int front_end, HxEvents *events, const Signals *signals,
               HxVsock *vsock, HxVhostUser *vhost)
{
    hx_vsock_set_queues(vsock, hx_vhost_user_queue(vhost, HX_VSOCK_RX),
                        hx_vhost_user_queue(vhost, HX_VSOCK_TX), hx_vhost_user_features(vhost));
    bool restored = hx_vhost_user_restore(vhost);
    hx_vsock_end_lost(vsock, restored);
    int r = 0;
    if (!restored && !is_listening(front_end))
        r = hx_vhost_user_serve(vhost, front_end);
    if (r == 0 && arguments->ready_fd >= 0)
        r = say_ready(arguments->ready_fd);
    if (r == 0)
        hx_log_info("guest CID %" PRId64 ", host socket %s", arguments->guest_cid,
                    arguments->host_socket);
    while (r == 0 && !signals->stop && !hx_vhost_user_ended(vhost)) {
        int64_t timeout = hx_vsock_run(vsock);
        hx_vhost_user_check_memory(vhost);
        r = hx_events_dispatch(events, hx_vhost_user_ended(vhost) ? 0 : timeout);
    }
    return r;
}

static void serve(const Arguments *arguments, int front_end, HxEvents *events, HxSession *session,
                  const Signals *signals, GError **error)
{
    int r;
    HxVsock *vsock =
        hx_vsock_new(events, session, arguments->guest_cid, arguments->host_socket, &r);
    if (!vsock) {
        hx_set_error_errno(error, HX_ERROR_HOST, -r, "cannot listen at %s", arguments->host_socket);
        return;
    }
    HxVhostUser *vhost =
        hx_vhost_user_new(events, session, is_listening(front_end) ? front_end : -1,
                          arguments->guest_cid, reset_device, vsock, &r);
    const char *const paths[] = {arguments->host_socket, arguments->socket_path, NULL};
    if (vhost && hx_vsock_enter_sandbox(paths, error))
        r = run(arguments, front_end, events, signals, vsock, vhost);
    if (r < 0)
        hx_set_error_errno(error, HX_ERROR_FAILED, -r, "cannot serve the device");
    hx_vsock_free(vsock);
    hx_vhost_user_free(vhost);
}

static void set_up_and_serve(const Arguments *arguments, int front_end, GError **error)
{
    HxEvents events;
    HxSession session;
    Signals signals = {.stop = false};
    int r = hx_events_init(&events);
    if (r == 0)
        r = watch_signals(&events, &signals);
    if (r < 0) {
        hx_set_error_errno(error, HX_ERROR_HOST, -r, "cannot wait for events");
        return;
    }
    r = hx_session_init(&session, arguments->store_fd, HX_VSOCK_CONNECTIONS_MAX);
    if (r == 0) {
        serve(arguments, front_end, &events, &session, &signals, error);
        hx_session_clear(&session);
    } else {
        hx_set_error_errno(error, HX_ERROR_HOST, -r,
                           "cannot take what --store-fd=%d has of an earlier process",
                           arguments->store_fd);
    }
    hx_close(&signals.source.fd);
    hx_events_clear(&events);
}

/* A descriptor for every connection that is allowed, and standard ones that are open: a socket must
 * not become number 2. */
static void prepare_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    int fd;
    do
        fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    while (fd >= 0 && fd <= STDERR_FILENO);
    hx_close(&fd);
}

/* With it "other options and arguments should be ignored": also those that are unknown. */
static bool wants_capabilities(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--print-capabilities") == 0)
            return true;
    return false;
}

int main(int argc, char **argv)
{
    prepare_descriptors();
    hx_log_init("helixvm-vsock", TRUE);
    hx_log_limit(200, 60);
    if (wants_capabilities(argc, argv)) {
        puts("{\n  \"type\": \"vsock\"\n}");
        return 0;
    }
    g_auto(Arguments) arguments = {.fd = -1, .ready_fd = -1, .store_fd = -1};
    g_autoptr(GError) error = NULL;
    if (!parse_arguments(argc, argv, &arguments, &error)) {
        hx_log_error("%s", error->message);
        return hx_error_exit_status(error);
    }
    hx_sandbox_close_others((const int[]){arguments.fd, arguments.ready_fd, arguments.store_fd}, 3);
    hx_autofd int front_end = open_front_end(&arguments, &error);
    if (!error)
        set_up_and_serve(&arguments, front_end, &error);
    if (front_end >= 0 && arguments.socket_path)
        unlink(arguments.socket_path);
    if (error)
        hx_log_error("%s", error->message);
    return hx_error_exit_status(error);
}
