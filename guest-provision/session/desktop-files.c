/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guest-provision/session/desktop-files.h"

const char session_pipewire_conf[] =
    "context.properties = { core.daemon = true core.name = pipewire-0 support.dbus = false }\n"
    "context.spa-libs = { support.* = support/libspa-support }\n"
    "context.modules = [\n"
    "  { name = libpipewire-module-protocol-native }\n"
    "  { name = libpipewire-module-access }\n"
    "  { name = libpipewire-module-metadata }\n"
    "  { name = libpipewire-module-client-node }\n"
    "  { name = libpipewire-module-link-factory }\n"
    "]\n";

const char session_pipewire_client_conf[] =
    "context.properties = { support.dbus = false }\n"
    "context.spa-libs = { support.* = support/libspa-support }\n"
    "context.modules = [\n"
    "  { name = libpipewire-module-protocol-native }\n"
    "  { name = libpipewire-module-client-node }\n"
    "  { name = libpipewire-module-adapter }\n"
    "  { name = libpipewire-module-metadata }\n"
    "]\n";

char *session_weston_ini(const SessionConfig *config)
{
    /* A key file of GLib's escapes what weston's own parser does not unescape. */
    g_autoptr(GString) text = g_string_new(NULL);
    g_string_append(text, "[core]\n"
                          "shell=desktop-shell.so\n"
                          "modules=systemd-notify.so\n"
                          "idle-time=0\n"
                          "require-input=false\n"
                          "[input-method]\n"
                          "path=\n"
                          "[shell]\n"
                          "clock-format=minutes\n"
                          "locking=false\n"
                          "animation=none\n"
                          "startup-animation=none\n"
                          "close-animation=none\n");
    g_string_append_printf(text, "panel-position=%s\n", config->panel ? "top" : "none");
    if (config->background_image)
        g_string_append_printf(text, "background-image=%s\nbackground-type=scale\n",
                               config->background_image);
    else
        g_string_append_printf(text, "background-color=0xff%06x\n", config->background_color);
    g_string_append_printf(text, "[output]\nname=pipewire\nmode=%dx%d\n", config->width,
                           config->height);
    return g_string_free(g_steal_pointer(&text), FALSE);
}
