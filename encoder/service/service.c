/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "encoder/service/service.h"

#include <errno.h>
#include <glib-unix.h>
#include <json-glib/json-glib.h>
#include <linux/vm_sockets.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "encoder/service/connection.h"
#include "encoder/service/module-client.h"
#include "launcher/base/fd.h"
#include "launcher/base/json.h"
#include "launcher/base/log.h"

/* Connections without a frame yet, and those about to end, beside one for each session. */
#define SPARE_CONNECTIONS 8

struct HxService {
    HxConnectionContext context;
    GPtrArray *connections; /* HxConnection */
    GPtrArray *listeners;   /* Listener */
    guint32 peer_cid;
    guint64 accepted;
};

typedef struct {
    HxService *service;
    int fd;
    gboolean is_serial;
    GSource *source;
} Listener;

static void free_listener(void *data)
{
    Listener *listener = data;
    g_source_destroy(listener->source);
    g_source_unref(listener->source);
    hx_close(&listener->fd);
    g_free(listener);
}

static void on_connection_ended(HxConnection *connection, void *data)
{
    HxService *service = data;
    g_ptr_array_remove_fast(service->connections, connection);
}

HxService *hx_service_new(const HxServiceOptions *options)
{
    HxModuleClient *module = hx_module_client_new(options->module_path);
    if (!module)
        return NULL;
    HxService *service = g_new0(HxService, 1);
    service->peer_cid = options->peer_cid;
    service->context = (HxConnectionContext){
        .module = module,
        .encoders = options->encoders,
        .defaults = options->defaults,
        .max_sessions = (gint)options->max_sessions,
        .ended = on_connection_ended,
        .data = service,
    };
    service->connections = g_ptr_array_new_with_free_func((GDestroyNotify)hx_connection_free);
    service->listeners = g_ptr_array_new_with_free_func(free_listener);
    return service;
}

static char *name_peer(const Listener *listener, const struct sockaddr_storage *address)
{
    if (listener->is_serial)
        return g_strdup("virtio-serial");
    switch (address->ss_family) {
    case AF_VSOCK: {
        const struct sockaddr_vm *vm = (const struct sockaddr_vm *)address;
        return g_strdup_printf("vsock %u:%u", vm->svm_cid, vm->svm_port);
    }
    case AF_INET: {
        const struct sockaddr_in *in = (const struct sockaddr_in *)address;
        return g_strdup_printf("tcp port %u", ntohs(in->sin_port));
    }
    default:
        return g_strdup_printf("unix %" G_GUINT64_FORMAT, listener->service->accepted);
    }
}

/* A port of the kernel's vsock is open to every guest of the host: only ours is served. */
static gboolean is_stranger(const HxService *service, const struct sockaddr_storage *address)
{
    return service->peer_cid && address->ss_family == AF_VSOCK &&
           ((const struct sockaddr_vm *)address)->svm_cid != service->peer_cid;
}

static gboolean on_client(int listening, GIOCondition condition, void *data)
{
    const Listener *listener = data;
    HxService *service = listener->service;
    struct sockaddr_storage address = {0};
    socklen_t length = sizeof address;
    hx_autofd int fd = accept4(listening, (struct sockaddr *)&address, &length, SOCK_CLOEXEC);
    if (fd < 0 || is_stranger(service, &address))
        return G_SOURCE_CONTINUE;
    service->accepted++;
    g_autofree char *peer = name_peer(listener, &address);
    if (service->connections->len >= (guint)service->context.max_sessions + SPARE_CONNECTIONS) {
        hx_connection_complain(&service->context, peer, "refused: too many connections");
        return G_SOURCE_CONTINUE;
    }
    /* An answer's last segment is not to wait for the acknowledgement of those before it. */
    int on = 1;
    if (address.ss_family == AF_INET)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    g_ptr_array_add(service->connections, hx_connection_start(&service->context, hx_steal_fd(&fd),
                                                              peer, listener->is_serial));
    return G_SOURCE_CONTINUE;
}

static gboolean on_statistics(int listening, GIOCondition condition, void *data)
{
    hx_autofd int fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return G_SOURCE_CONTINUE;
    g_autofree char *text = hx_service_describe(((const Listener *)data)->service);
    /* It fits the socket's buffer; a reader that is gone is no matter. */
    ssize_t ignored G_GNUC_UNUSED = send(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT);
    return G_SOURCE_CONTINUE;
}

static int add_listener(HxService *service, int fd, GUnixFDSourceFunc callback, gboolean is_serial)
{
    int type = 0, listening = 0;
    socklen_t length = sizeof type;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) < 0)
        return -errno;
    length = sizeof listening;
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length) < 0)
        return -errno;
    if (type != SOCK_STREAM || !listening)
        return -EINVAL;
    int r = hx_set_nonblocking(fd, 1);
    if (r < 0)
        return r;
    Listener *listener = g_new0(Listener, 1);
    listener->service = service;
    listener->fd = fd;
    listener->is_serial = is_serial;
    listener->source = g_unix_fd_source_new(fd, G_IO_IN);
    g_source_set_callback(listener->source, G_SOURCE_FUNC(callback), listener, NULL);
    g_source_attach(listener->source, NULL);
    g_ptr_array_add(service->listeners, listener);
    return 0;
}

int hx_service_listen(HxService *service, int fd)
{
    return add_listener(service, fd, on_client, FALSE);
}

int hx_service_listen_serial(HxService *service, int fd)
{
    return add_listener(service, fd, on_client, TRUE);
}

int hx_service_listen_statistics(HxService *service, int fd)
{
    return add_listener(service, fd, on_statistics, FALSE);
}

char *hx_service_describe(HxService *service)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();
    json_builder_begin_object(builder);
    json_builder_set_member_name(builder, "version");
    json_builder_add_string_value(builder, HELIXVM_VERSION);
    json_builder_set_member_name(builder, "encoders");
    json_builder_begin_array(builder);
    for (const HxEncoderClass *const *class = service->context.encoders; *class; class ++)
        json_builder_add_string_value(builder, (*class)->name);
    json_builder_end_array(builder);
    json_builder_set_member_name(builder, "preset");
    json_builder_add_string_value(builder, service->context.defaults.preset);
    json_builder_set_member_name(builder, "threads");
    json_builder_add_int_value(builder, service->context.defaults.threads);
    json_builder_set_member_name(builder, "max_sessions");
    json_builder_add_int_value(builder, service->context.max_sessions);
    json_builder_set_member_name(builder, "module");
    json_builder_begin_object(builder);
    hx_module_client_describe(service->context.module, builder);
    json_builder_end_object(builder);
    json_builder_set_member_name(builder, "connections");
    json_builder_add_int_value(builder, service->connections->len);
    json_builder_set_member_name(builder, "dropped");
    json_builder_add_int_value(builder, g_atomic_int_get(&service->context.dropped));
    json_builder_set_member_name(builder, "sessions");
    json_builder_begin_array(builder);
    for (guint i = 0; i < service->connections->len; i++)
        hx_connection_describe(service->connections->pdata[i], builder);
    json_builder_end_array(builder);
    json_builder_end_object(builder);
    return hx_json_text(builder, TRUE);
}

void hx_service_free(HxService *service)
{
    if (!service)
        return;
    g_ptr_array_unref(service->listeners);
    hx_module_client_stop(service->context.module);
    for (guint i = 0; i < service->connections->len; i++)
        hx_connection_stop(service->connections->pdata[i]);
    g_ptr_array_unref(service->connections);
    hx_module_client_free(service->context.module);
    g_free(service);
}
