/* SPDX-License-Identifier: GPL-2.0-or-later */
/* As much of the Wayland protocol "xdg-shell", version 1, as one window that fills the screen
 * needs. Its requests are sent by number, with wl_proxy_marshal_flags(). */
#pragma once

#include <wayland-client.h>

enum { WM_BASE_GET_XDG_SURFACE = 2, WM_BASE_PONG = 3 };
enum { XDG_SURFACE_GET_TOPLEVEL = 1, XDG_SURFACE_ACK_CONFIGURE = 4 };
enum { TOPLEVEL_SET_FULLSCREEN = 11 };

extern const struct wl_interface wm_base_interface, xdg_surface_interface, toplevel_interface;

/* Listeners, for wl_proxy_add_listener(). */
struct wm_base_listener {
    void (*ping)(void *data, struct wl_proxy *wm_base, uint32_t serial);
};
struct xdg_surface_listener {
    void (*configure)(void *data, struct wl_proxy *xdg_surface, uint32_t serial);
};
struct toplevel_listener {
    void (*configure)(void *data, struct wl_proxy *toplevel, int32_t width, int32_t height,
                      struct wl_array *states);
    void (*close)(void *data, struct wl_proxy *toplevel);
};
