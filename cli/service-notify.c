/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/service-notify.h"

#include <gio/gio.h>
#include <gio/gunixsocketaddress.h>
#include <string.h>

struct HxService {
    GSocket *socket; /* NULL: there is no manager */
};

/* A path, or with '@' in front a name in the abstract namespace. */
static GSocketAddress *address_of(const char *name)
{
    if (name[0] == '/')
        return g_unix_socket_address_new(name);
    if (name[0] == '@' && name[1])
        return g_unix_socket_address_new_with_type(name + 1, -1, G_UNIX_SOCKET_ADDRESS_ABSTRACT);
    return NULL;
}

HxService *hx_service_new(void)
{
    HxService *service = g_new0(HxService, 1);
    const char *name = g_getenv("NOTIFY_SOCKET");
    g_autoptr(GSocketAddress) address = name ? address_of(name) : NULL;
    g_unsetenv("NOTIFY_SOCKET");
    if (!address)
        return service;
    service->socket =
        g_socket_new(G_SOCKET_FAMILY_UNIX, G_SOCKET_TYPE_DATAGRAM, G_SOCKET_PROTOCOL_DEFAULT, NULL);
    if (!service->socket)
        return service;
    g_socket_set_blocking(service->socket, FALSE);
    if (!g_socket_connect(service->socket, address, NULL, NULL))
        g_clear_object(&service->socket);
    return service;
}

void hx_service_free(HxService *service)
{
    if (!service)
        return;
    g_clear_object(&service->socket);
    g_free(service);
}

void hx_service_tell(HxService *service, const char *format, ...)
{
    if (!service->socket)
        return;
    va_list arguments;
    va_start(arguments, format);
    g_autofree char *message = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    /* A manager that does not listen is no reason to stop: it has its own timeouts. */
    g_socket_send(service->socket, message, strlen(message), NULL, NULL);
}
