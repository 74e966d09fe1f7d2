/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/bench/drawing/xdg-shell.h"

/* No message has more arguments; which interfaces they are of is for the server to check. */
static const struct wl_interface *types[4];

#define MESSAGES(list) (int)(sizeof(list) / sizeof(list)[0]), list

static const struct wl_message wm_base_requests[] = {
    {"destroy", "", types},
    {"create_positioner", "n", types},
    {"get_xdg_surface", "no", types},
    {"pong", "u", types},
};
static const struct wl_message wm_base_events[] = {{"ping", "u", types}};
const struct wl_interface wm_base_interface = {"xdg_wm_base", 1, MESSAGES(wm_base_requests),
                                               MESSAGES(wm_base_events)};

static const struct wl_message xdg_surface_requests[] = {
    {"destroy", "", types},        {"get_toplevel", "n", types},
    {"get_popup", "n?oo", types},  {"set_window_geometry", "iiii", types},
    {"ack_configure", "u", types},
};
static const struct wl_message xdg_surface_events[] = {{"configure", "u", types}};
const struct wl_interface xdg_surface_interface = {"xdg_surface", 1, MESSAGES(xdg_surface_requests),
                                                   MESSAGES(xdg_surface_events)};

static const struct wl_message toplevel_requests[] = {
    {"destroy", "", types},
    {"set_parent", "?o", types},
    {"set_title", "s", types},
    {"set_app_id", "s", types},
    {"show_window_menu", "ouii", types},
    {"move", "ou", types},
    {"resize", "ouu", types},
    {"set_max_size", "ii", types},
    {"set_min_size", "ii", types},
    {"set_maximized", "", types},
    {"unset_maximized", "", types},
    {"set_fullscreen", "?o", types},
};
static const struct wl_message toplevel_events[] = {{"configure", "iia", types},
                                                    {"close", "", types}};
const struct wl_interface toplevel_interface = {"xdg_toplevel", 1, MESSAGES(toplevel_requests),
                                                MESSAGES(toplevel_events)};
