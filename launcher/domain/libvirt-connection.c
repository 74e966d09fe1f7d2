/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "launcher/domain/libvirt-connection.h"

#include <fcntl.h>
#include <gio/gio.h>
#include <libvirt/virterror.h>
#include <libxml/parser.h>
#include <libxml/xpath.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <unistd.h>

#include "launcher/base/directories.h"
#include "launcher/base/error.h"
#include "launcher/base/fd.h"
#include "launcher/base/process.h"
#include "launcher/base/unix-socket.h"

/* What libvirt's own units give its daemons.  A fresh one reads all it knows of its emulators anew,
 * for most of a second of the next `up`. */
#define DAEMON_IDLE_SECONDS "120"
/* libvirtd's own bound on its end is 30 s. */
#define ENDING_SECONDS 35
#define ENDING_PAUSE_MS 100

/* A fresh libvirtd tries its emulators before it answers: seconds, on a busy host many. */
#define OPEN_SECONDS 60

/* After the last of these that was missed it is given another interval. */
#define KEEPALIVE_SECONDS 5
#define KEEPALIVES_MISSED 3

static void say_nothing(void *data, virErrorPtr error)
{
}

void hx_libvirt_set_error(GError **error, int code, const char *what)
{
    const char *message = virGetLastErrorMessage();
    g_set_error(error, HX_ERROR, code, "%s: %s", what, message ? message : "unknown error");
}

static const char *uri(void)
{
    const char *chosen = g_getenv("LIBVIRT_DEFAULT_URI");
    if (chosen && *chosen)
        return chosen;
    return geteuid() == 0 ? "qemu:///system" : "qemu:///session";
}

/* Root's daemons are ours to start where no init system is: see sd_booted(3). */
static gboolean may_start_daemons(void)
{
    return geteuid() == 0 && g_str_equal(uri(), "qemu:///system") &&
           !g_file_test("/run/systemd/system", G_FILE_TEST_IS_DIR);
}

void hx_libvirt_start_log_daemon(void)
{
    static const char *const virtlogd[] = {"virtlogd", "-d", "--timeout", DAEMON_IDLE_SECONDS,
                                           NULL};
    if (!may_start_daemons())
        return;
    hx_autofd int fd = hx_unix_connect("/run/libvirt/virtlogd-sock", SOCK_STREAM);
    /* libvirt says it best where there is none. */
    if (fd < 0)
        hx_process_run(virtlogd, NULL, NULL, NULL);
}

/* A libvirtd that ends has closed its socket, but keeps its pid file locked until it has ended. */
static gboolean another_ends(void)
{
    hx_autofd int fd = open("/run/libvirtd.pid", O_RDONLY | O_CLOEXEC);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    return fd >= 0 && fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

static gboolean start_daemon(GError **error)
{
    static const char *const libvirtd[] = {"libvirtd", "-d", "--timeout", DAEMON_IDLE_SECONDS,
                                           NULL};
    g_autoptr(GError) cause = NULL;
    gint64 deadline = g_get_monotonic_time() + ENDING_SECONDS * G_TIME_SPAN_SECOND;
    while (another_ends() && g_get_monotonic_time() < deadline)
        g_usleep(ENDING_PAUSE_MS * G_TIME_SPAN_MILLISECOND);
    /* It returns when it serves. */
    if (hx_process_run(libvirtd, NULL, NULL, &cause))
        return TRUE;
    g_set_error(error, HX_ERROR, HX_ERROR_HOST, "libvirtd does not run and cannot be started: %s",
                cause->message);
    return FALSE;
}

/* Connect, for as long as libvirtd takes. */
static virConnect *connect_now(GError **error)
{
    virConnect *connection = virConnectOpen(uri());
    if (!connection && may_start_daemons()) {
        g_autofree char *directory = hx_runtime_directory(error);
        if (!directory)
            return NULL;
        hx_autofd int lock = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (lock >= 0)
            flock(lock, LOCK_EX);
        /* Another helixvm may have started them while this one waited for the lock. */
        connection = virConnectOpen(uri());
        if (!connection) {
            if (!start_daemon(error))
                return NULL;
            connection = virConnectOpen(uri());
        }
    }
    if (!connection) {
        g_autofree char *what = g_strdup_printf("cannot connect to libvirt at %s", uri());
        hx_libvirt_set_error(error, HX_ERROR_HOST, what);
    }
    return connection;
}

/* What came of connecting; nothing of either where it is the word that nobody waits any more. */
typedef struct {
    virConnect *connection;
    GError *error;
} Outcome;

static Outcome *outcome_new(virConnect *connection, GError *error)
{
    Outcome *outcome = g_new0(Outcome, 1);
    outcome->connection = connection;
    outcome->error = error;
    return outcome;
}

static void free_outcome(void *data)
{
    Outcome *outcome = data;
    if (outcome->connection)
        virConnectClose(outcome->connection);
    g_clear_error(&outcome->error);
    g_free(outcome);
}

static void *run_connect(void *data)
{
    GAsyncQueue *outcomes = data;
    GError *error = NULL;
    virConnect *connection = connect_now(&error);
    g_async_queue_push(outcomes, outcome_new(connection, error));
    /* The last reference where nobody waited so long: then the outcome is freed with it. */
    g_async_queue_unref(outcomes);
    return NULL;
}

static void on_cancelled(GCancellable *cancel, void *data)
{
    g_async_queue_push(data, outcome_new(NULL, NULL));
}

virConnect *hx_libvirt_open(GCancellable *cancel, GError **error)
{
    virSetErrorFunc(NULL, say_nothing);
    g_autoptr(GAsyncQueue) outcomes = g_async_queue_new_full(free_outcome);
    g_thread_unref(g_thread_new("libvirt", run_connect, g_async_queue_ref(outcomes)));
    gulong handler =
        cancel ? g_cancellable_connect(cancel, G_CALLBACK(on_cancelled), outcomes, NULL) : 0;
    Outcome *outcome = g_async_queue_timeout_pop(outcomes, OPEN_SECONDS * G_TIME_SPAN_SECOND);
    g_cancellable_disconnect(cancel, handler);
    if (!outcome) {
        g_set_error(error, HX_ERROR, HX_ERROR_HOST,
                    "libvirtd does not answer at %s, not in %d s: restart it, with `systemctl "
                    "restart libvirtd` where systemd runs it",
                    uri(), OPEN_SECONDS);
        return NULL;
    }
    virConnect *connection = g_steal_pointer(&outcome->connection);
    if (outcome->error)
        g_propagate_error(error, g_steal_pointer(&outcome->error));
    else if (!connection)
        g_set_error_literal(error, HX_ERROR, HX_ERROR_CANCELLED, "interrupted");
    free_outcome(outcome);
    return connection;
}

gboolean hx_libvirt_register_events(GError **error)
{
    static gsize registered;
    if (!g_once_init_enter(&registered))
        return TRUE;
    int r = virEventRegisterDefaultImpl();
    g_once_init_leave(&registered, 1);
    if (r == 0)
        return TRUE;
    hx_libvirt_set_error(error, HX_ERROR_HOST, "cannot receive libvirt's events");
    return FALSE;
}

void hx_libvirt_bound_silence(virConnect *connection)
{
    /* Once is enough: it refuses a second time. */
    virConnectSetKeepAlive(connection, KEEPALIVE_SECONDS, KEEPALIVES_MISSED);
}

/* The string value of the XPath @expression over the document @xml, for g_free; NULL where @xml is
 * no document. */
static char *xpath_string(const char *xml, const char *expression)
{
    xmlDoc *document = xmlReadDoc(BAD_CAST xml, NULL, NULL, XML_PARSE_NONET);
    xmlXPathContext *context = document ? xmlXPathNewContext(document) : NULL;
    xmlXPathObject *found = context ? xmlXPathEvalExpression(BAD_CAST expression, context) : NULL;
    char *value = found ? g_strdup((const char *)found->stringval) : NULL;
    xmlXPathFreeObject(found);
    xmlXPathFreeContext(context);
    xmlFreeDoc(document);
    return value;
}

uid_t hx_libvirt_qemu_user(virConnect *connection)
{
    char *capabilities = virConnectGetCapabilities(connection);
    g_autofree char *label =
        capabilities ? xpath_string(capabilities, "string(/capabilities/host/secmodel[model='dac']"
                                                  "/baselabel)")
                     : NULL;
    free(capabilities);
    unsigned int user; /* "+UID:+GID" */
    return label && sscanf(label, "+%u:", &user) == 1 ? user : geteuid();
}

guint32 hx_libvirt_cid(const char *domain_xml)
{
    g_autofree char *cid = xpath_string(domain_xml, "string(/domain/devices/vsock/cid/@address)");
    return cid ? g_ascii_strtoull(cid, NULL, 10) : 0;
}
