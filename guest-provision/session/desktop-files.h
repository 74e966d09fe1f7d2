/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The configuration files that the desktop's programs are started with. */
#pragma once

#include "guest-provision/session/config.h"

/* PipeWire's, as it is without any device, policy or sound; of the daemon, and of its clients. */
extern const char session_pipewire_conf[];
extern const char session_pipewire_client_conf[];

/* weston.ini(5) of @config, for g_free. */
char *session_weston_ini(const SessionConfig *config);
