/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Notifications to a service manager, which is a socket of the test's own. */
#include "cli/service-notify.h"

#include <gio/gio.h>
#include <gio/gunixsocketaddress.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

static GSocket *listen_at(GSocketAddress *address)
{
    g_autoptr(GError) error = NULL;
    GSocket *socket =
        g_socket_new(G_SOCKET_FAMILY_UNIX, G_SOCKET_TYPE_DATAGRAM, G_SOCKET_PROTOCOL_DEFAULT, NULL);
    g_socket_bind(socket, address, FALSE, &error);
    g_assert_no_error(error);
    g_socket_set_timeout(socket, 10);
    g_object_unref(address);
    return socket;
}

static void assert_hears(GSocket *manager, const char *expected)
{
    char buffer[256];
    g_autoptr(GError) error = NULL;
    gssize n = g_socket_receive(manager, buffer, sizeof buffer - 1, NULL, &error);
    g_assert_no_error(error);
    buffer[n] = '\0';
    g_assert_cmpstr(buffer, ==, expected);
}

static void test_path(void)
{
    g_autofree char *directory = g_dir_make_tmp("helixvm-notify-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(directory, "notify", NULL);
    g_autoptr(GSocket) manager = listen_at(g_unix_socket_address_new(path));
    g_setenv("NOTIFY_SOCKET", path, TRUE);
    g_autoptr(HxService) service = hx_service_new();
    g_assert_null(g_getenv("NOTIFY_SOCKET")); /* not for children */
    hx_service_tell(service, "STATUS=%s", "boot");
    hx_service_tell(service, "READY=1\nSTATUS=%d", 7);
    assert_hears(manager, "STATUS=boot");
    assert_hears(manager, "READY=1\nSTATUS=7");
    /* A manager that has gone is no harm. */
    g_clear_object(&manager);
    g_unlink(path);
    g_rmdir(directory);
    hx_service_tell(service, "STOPPING=1");
}

static void test_abstract(void)
{
    g_autofree char *name = g_strdup_printf("@helixvm-test-%d", (int)getpid());
    g_autoptr(GSocket) manager = listen_at(
        g_unix_socket_address_new_with_type(name + 1, -1, G_UNIX_SOCKET_ADDRESS_ABSTRACT));
    g_setenv("NOTIFY_SOCKET", name, TRUE);
    g_autoptr(HxService) service = hx_service_new();
    hx_service_tell(service, "READY=1");
    assert_hears(manager, "READY=1");
}

static void test_none(void)
{
    static const char *const names[] = {NULL, "", "@", "relative", "/nowhere/at/all", "vsock:2:1"};
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        if (names[i])
            g_setenv("NOTIFY_SOCKET", names[i], TRUE);
        g_autoptr(HxService) service = hx_service_new();
        hx_service_tell(service, "READY=1");
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/service-notify/path", test_path);
    g_test_add_func("/service-notify/abstract", test_abstract);
    g_test_add_func("/service-notify/none", test_none);
    return g_test_run();
}
