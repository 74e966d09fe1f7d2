/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Notifications to the service manager that started this process: sd_notify(3). */
#pragma once

#include <glib.h>

typedef struct HxService HxService;

/* The service manager that NOTIFY_SOCKET names; the variable is removed, so that no child speaks in
 * our name.  Without one, or where it cannot be reached, telling it does nothing.  Call it before
 * there are other threads that look at the environment. */
HxService *hx_service_new(void);
void hx_service_free(HxService *service);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HxService, hx_service_free)

/* Send one notification: lines of NAME=VALUE, "READY=1\nSTATUS=the guest is ready".  Does not
 * block. */
void hx_service_tell(HxService *service, const char *format, ...) G_GNUC_PRINTF(2, 3);
